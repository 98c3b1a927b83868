import { againCases } from './again-cases.js';
import { aroundCases } from './around-cases.js';
import { batchCases } from './batch-cases.js';
import { compressionCases } from './compression-cases.js';
import { contractSuite } from './contract-suite.js';
import { deadLetterCases } from './dead-letter-cases.js';
import { expiryCases } from './expiry-cases.js';
import { handlerCases } from './handler-cases.js';
import { keyedCases } from './keyed-cases.js';
import { laterCases } from './later-cases.js';
import { loadCases } from './load-cases.js';
import { lockCases } from './lock-cases.js';
import { paceCases } from './pace-cases.js';
import { propertyCases } from './property-cases.js';
import { receiveCases } from './receive-cases.js';
import { requestCases } from './request-cases.js';
import { scheduleCases } from './schedule-cases.js';
import { schemaCases } from './schema-cases.js';
import { sendCases } from './send-cases.js';
import { sendManyCases } from './send-many-cases.js';
import { stopCases } from './stop-cases.js';
import type { BrokerSubject, Skips } from './subject.js';
import { threadCases } from './thread-cases.js';
import { topicCases } from './topic-cases.js';
import { typedHandlerCases } from './typed-handler-cases.js';
import { valueCases } from './value-cases.js';

/** What producers and consumers promise, as cases. They hold on every backend. */
export function toolkitContract(subject: BrokerSubject, skips: Skips = {}): void {
  const groups = {
    send: sendCases,
    'send many': sendManyCases,
    later: laterCases,
    values: valueCases,
    'what a message carries': propertyCases,
    expiry: expiryCases,
    compression: compressionCases,
    handler: handlerCases,
    again: againCases,
    around: aroundCases,
    batches: batchCases,
    pace: paceCases,
    schemas: schemaCases,
    'handlers by type': typedHandlerCases,
    threads: threadCases,
    keys: keyedCases,
    'start and stop': stopCases,
    request: requestCases,
    receive: receiveCases,
    'dead letters': deadLetterCases,
    locks: lockCases,
    topics: topicCases,
    schedules: scheduleCases,
    load: loadCases,
  };
  contractSuite('toolkit contract', subject, groups, skips);
}

import { contractSuite } from './contract-suite.js';

import { lockCases } from './coordination/lock-cases.js';
import { scheduleCases } from './coordination/schedule-cases.js';
import { topicCases } from './definitions/topic-cases.js';
import { againCases } from './delivery/again-cases.js';
import { deadLetterCases } from './delivery/dead-letter-cases.js';
import { historyCases } from './delivery/history-cases.js';
import { receiveCases } from './delivery/receive-cases.js';
import { aroundCases } from './handlers/around-cases.js';
import { batchCases } from './handlers/batch-cases.js';
import { handlerCases } from './handlers/handler-cases.js';
import { keyedCases } from './handlers/keyed-cases.js';
import { paceCases } from './handlers/pace-cases.js';
import { threadCases } from './handlers/thread-cases.js';
import { typedHandlerCases } from './handlers/typed-handler-cases.js';
import { requestCases } from './requests/request-cases.js';
import { compressionCases } from './sending/compression-cases.js';
import { expiryCases } from './sending/expiry-cases.js';
import { laterCases } from './sending/later-cases.js';
import { loadCases } from './sending/load-cases.js';
import { propertyCases } from './sending/property-cases.js';
import { schemaCases } from './sending/schema-cases.js';
import { sendCases } from './sending/send-cases.js';
import { sendManyCases } from './sending/send-many-cases.js';
import { valueCases } from './sending/value-cases.js';
import { stopCases } from './start-and-stop/stop-cases.js';

import type { BrokerSubject, Skips } from './subject.js';

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
    'failure history': historyCases,
    locks: lockCases,
    topics: topicCases,
    schedules: scheduleCases,
    load: loadCases,
  };
  contractSuite('toolkit contract', subject, groups, skips);
}

import { contractSuite } from './contract-suite.js';
import { sharedStateCases } from './coordination/shared-state-cases.js';
import { declarationCases } from './definitions/declaration-cases.js';
import { atomicFanOutCases, exchangeCases } from './definitions/exchange-cases.js';
import { accountCases } from './delivery/account-cases.js';
import { deliveryCases } from './delivery/delivery-cases.js';
import { settlementCases } from './delivery/settlement-cases.js';
import { replyCases } from './requests/reply-cases.js';
import { capacityCases } from './sending/capacity-cases.js';
import { publishCases } from './sending/publish-cases.js';
import { closingCases } from './start-and-stop/closing-cases.js';
import type { BrokerSubject, Skips } from './subject.js';

/** What src/broker.ts promises, as cases. Every backend passes them. */
export function brokerContract(subject: BrokerSubject, skips: Skips = {}): void {
  const groups = {
    publish: publishCases,
    capacity: capacityCases,
    delivery: deliveryCases,
    settlement: settlementCases,
    declaration: declarationCases,
    exchanges: exchangeCases,
    ...(subject.atomicFanOut === true && { 'exchanges, all or none': atomicFanOutCases }),
    replies: replyCases,
    'shared states': sharedStateCases,
    closing: closingCases,
    account: accountCases,
  };
  contractSuite('broker contract', subject, groups, skips);
}

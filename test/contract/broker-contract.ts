import { accountCases } from './account-cases.js';
import { capacityCases } from './capacity-cases.js';
import { closingCases } from './closing-cases.js';
import { contractSuite } from './contract-suite.js';
import { declarationCases } from './declaration-cases.js';
import { deliveryCases } from './delivery-cases.js';
import { atomicFanOutCases, exchangeCases } from './exchange-cases.js';
import { publishCases } from './publish-cases.js';
import { replyCases } from './reply-cases.js';
import { settlementCases } from './settlement-cases.js';
import { sharedStateCases } from './shared-state-cases.js';
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

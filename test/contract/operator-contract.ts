import { contractSuite } from './contract-suite.js';
import { localOperatorCases, operatorCases } from './operations/operator-cases.js';
import type { BrokerSubject, Skips } from './subject.js';

/** What src/operator.ts promises, as cases. */
export function operatorContract(subject: BrokerSubject, skips: Skips = {}): void {
  contractSuite('operator contract', subject, { 'what is there': operatorCases }, skips);
}

/** What it promises of local brokers only. */
export function localOperatorContract(subject: BrokerSubject): void {
  contractSuite('local operator contract', subject, { 'what is there': localOperatorCases }, {});
}

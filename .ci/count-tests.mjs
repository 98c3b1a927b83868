// Prints what vitest's JSON report counts: `passed failed skipped`.
import { readFileSync } from 'node:fs';

const report = JSON.parse(readFileSync(process.argv[2], 'utf8'));
// A file that could not be loaded holds no test that failed, and counts as one.
const unloaded = report.testResults.filter(
  ({ status, assertionResults }) =>
    status === 'failed' && !assertionResults.some((test) => test.status === 'failed'),
).length;
console.log(
  report.numPassedTests,
  report.numFailedTests + unloaded,
  report.numPendingTests + report.numTodoTests,
);

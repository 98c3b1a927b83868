// Prints what vitest's JSON report counts: `passed failed skipped`; and what failed, on standard error.
import { readFileSync } from 'node:fs';
import { relative } from 'node:path';

const { testResults, ...report } = JSON.parse(readFileSync(process.argv[2], 'utf8'));
let unloaded = 0;
for (const { name, status, message, assertionResults } of testResults) {
  const file = relative('.', name);
  const failed = assertionResults.filter((test) => test.status === 'failed');
  for (const { fullName, failureMessages } of failed) {
    console.error(`\nFAILED ${file}: ${fullName}\n${failureMessages.join('\n')}`);
  }
  // A file that could not be loaded holds no test that failed, and counts as one.
  if (status === 'failed' && failed.length === 0) {
    unloaded++;
    console.error(`\nFAILED ${file}: ${message}`);
  }
}
console.log(
  report.numPassedTests,
  report.numFailedTests + unloaded,
  report.numPendingTests + report.numTodoTests,
);

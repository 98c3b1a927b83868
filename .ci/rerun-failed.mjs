// Runs the tests that failed once more, each by itself: `rerun-failed.mjs REPORT COMMAND...`, REPORT being vitest's JSON
// report and COMMAND the one that runs vitest, without files. Tests that pass now are unsteady: they are printed as
// such, and the exit code is 0. It is 1 if one fails again, or if more than a few failed: that is no coincidence.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';

const MOST_UNSTEADY = 3;

const [report, command, ...rest] = process.argv.slice(2);
const failures = failedTests(report);
if (failures.length === 0 || failures.length > MOST_UNSTEADY) {
  console.log(`${failures.length} tests failed: none is run again`);
  process.exit(1);
}
const directory = mkdtempSync(join(tmpdir(), 'millrace-rerun-'));
try {
  for (const { file, name, text } of failures) {
    if (!passesAlone(file, name)) process.exit(1);
    console.log(`UNSTEADY ${file}: ${name ?? 'the file'}, failed at first: ${text.split('\n')[0]}`);
  }
} finally {
  rmSync(directory, { recursive: true });
}

function passesAlone(file, name) {
  const output = join(directory, 'again.json');
  const only = name === undefined ? [] : ['-t', `^${RegExp.escape?.(name) ?? escaped(name)}$`];
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${output}`];
  rmSync(output, { force: true });
  const { status } = spawnSync(command, [...rest, file, ...only, ...reporters], {
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  return status === 0 && JSON.parse(readFileSync(output, 'utf8')).numPassedTests > 0;
}

function escaped(name) {
  return name.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&');
}

/** A file that could not be loaded is one without a name of a test. */
function failedTests(path) {
  const { testResults } = JSON.parse(readFileSync(path, 'utf8'));
  return testResults.flatMap(({ name, status, message, assertionResults }) => {
    const file = relative('.', name);
    const failed = assertionResults.filter((test) => test.status === 'failed');
    if (status === 'failed' && failed.length === 0) return [{ file, text: message }];
    return failed.map((test) => ({ file, name: test.fullName, text: test.failureMessages.join('\n') }));
  });
}

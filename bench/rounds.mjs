import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const MEASURE = fileURLToPath(new URL('measure.mjs', import.meta.url));

/**
 * Measures each subject once, one after the other, beginning with another one every round, each in a process of its
 * own. Adds to the `runs` of each; a subject that fails gets an `error` and no more runs.
 */
export async function measureRound(results, round, settings, onRun) {
  for (let step = 0; step < results.length; step++) {
    const result = results[(step + round) % results.length];
    onRun(result.subject);
    if (result.error !== undefined) continue;
    try {
      result.runs.push(await measureInProcess(result, settings));
    } catch (error) {
      result.error = error.message;
    }
  }
}

const OVER_TIME = 'not done within';

/** Whether this is the error of a run that was ended at its time limit. */
export function isOverTime(error) {
  return error.startsWith(OVER_TIME);
}

/** Measures all subjects once and at the same time, for what does not depend on how fast they are. */
export async function measureSideBySide(results, settings, onRun) {
  await Promise.all(
    results.map(async (result) => {
      try {
        result.runs.push(await measureInProcess(result, settings));
      } catch (error) {
        result.error = error.message;
      } finally {
        onRun(result.subject);
      }
    }),
  );
}

/** One run in a process of its own. Rejects with the last line that it wrote where it ends without a result. */
export function measureInProcess({ module, run, options }, { limitMs }) {
  const { promise, resolve, reject } = deferred();
  const child = fork(MEASURE, [JSON.stringify({ module, run, options })], {
    execArgv: ['--expose-gc'],
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  const timer = setTimeout(() => {
    child.kill('SIGKILL');
    reject(new Error(`${OVER_TIME} ${limitMs / 1000} s`));
  }, limitMs);
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text) => {
    said = (said + text).slice(-4000);
  });
  child.on('message', resolve);
  child.on('error', reject);
  child.on('exit', (code, signal) => {
    clearTimeout(timer);
    reject(new Error(errorLine(said) ?? `ended with ${signal ?? `exit code ${code}`}`));
  });
  return promise;
}

function errorLine(said) {
  return said
    .split('\n')
    .find((line) => /error|refus|failed/i.test(line))
    ?.trim();
}

function deferred() {
  let resolve;
  let reject;
  const promise = new Promise((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  return { promise, resolve, reject };
}

// The store thread of the product, in a process that dies in the middle of some commit: the last thing that a
// transaction does before SQLite commits it sends a second thread on its way to a SIGKILL, which arrives while the log
// is written and flushed.
import { Worker } from 'node:worker_threads';
import { QueueTable } from '../../../../dist/local-queue/disk/store/queue-table.js';

const COMMITS_BEFORE = 5 + Math.floor(Math.random() * 60);
const LONGEST_MS = 1;

const signal = new Int32Array(new SharedArrayBuffer(4));
const killer = `
  const { workerData } = require('node:worker_threads');
  Atomics.wait(workerData, 0, 0);
  const at = performance.now() + Math.random() * ${LONGEST_MS};
  while (performance.now() < at);
  process.kill(process.pid, 'SIGKILL');
`;
new Worker(killer, { eval: true, workerData: signal }).unref();

const { end } = QueueTable.prototype;
let commits = 0;
QueueTable.prototype.end = function () {
  end.call(this);
  if (++commits !== COMMITS_BEFORE) return;
  Atomics.store(signal, 0, 1);
  Atomics.notify(signal, 0);
};

await import('../../../../dist/local-queue/disk/store/store-thread.js');

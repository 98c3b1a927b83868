// The store thread of the product, whose transactions fail as often as the file 'fail' in the folder says. Each failure
// leaves a mark in the file 'failures'.
import { appendFileSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { workerData } from 'node:worker_threads';
import { QueueTable } from '../../../../dist/local-queue/disk/store/queue-table.js';

const orders = join(workerData.folder, 'fail');
const { end } = QueueTable.prototype;
QueueTable.prototype.end = function () {
  if (!existsSync(orders)) return end.call(this);
  const times = Number(readFileSync(orders, 'utf8'));
  if (times > 1) writeFileSync(orders, String(times - 1));
  else rmSync(orders);
  appendFileSync(join(workerData.folder, 'failures'), '.');
  throw Object.assign(new Error('disk I/O error'), { code: 'ERR_SQLITE_ERROR', errcode: 10 });
};

await import('../../../../dist/local-queue/disk/store/store-thread.js');

// A worker thread that sends, or handles, over and over until it is terminated. Says what it sent and what it handled.
import { parentPort, workerData } from 'node:worker_threads';
import { openDiskBroker } from '../../../../dist/local-queue/disk/broker.js';

const { folder, name, role } = workerData;
const say = (message) => parentPort.postMessage(message);

// Not in the module itself: V8 12.4 (Node 22) can abort when a thread ends as a module with a top-level await begins.
async function main() {
  const broker = await openDiskBroker(folder);
  if (role === 'sender') {
    for (let number = 0; ; number += 10) {
      const ids = Array.from({ length: 10 }, (_, index) => `${name}/${number + index}`);
      say({ tried: ids });
      await Promise.all(
        ids.map((id) =>
          broker.publish(
            { exchange: '', routingKey: 'ledger' },
            { id, contentType: '', headers: {}, body: id },
          ),
        ),
      );
      say({ sent: ids });
    }
  }
  await broker.subscribe('ledger', { prefetch: 20 }, (delivery) => {
    say({ handled: delivery.message.id, redelivered: delivery.redelivered });
    // Whoever is told has it on record before it is gone from the queue.
    setImmediate(() => delivery.ack());
  });
}

main();

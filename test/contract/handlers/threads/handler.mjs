/** The handler of the cases about threads: does what the message says. */
import { existsSync } from 'node:fs';
import { threadId } from 'node:worker_threads';
import { Postpone, RejectMessage, RetryLater } from 'millrace';

/** Its JSON is not that of its fields. */
class Amount {
  constructor(cents) {
    this.cents = cents;
  }

  toJSON() {
    return { amount: (this.cents / 100).toFixed(2) };
  }
}

export default async function handle(command, { attempt, id, signal, headers }) {
  if (command.attempts !== undefined && attempt > command.attempts) return { attempt };
  switch (command.do) {
    case 'square':
      return command.n ** 2;
    case 'tell':
      return { threadId, attempt, id, tenant: headers.tenant };
    case 'throw':
      throw Object.assign(new Error('out of flour'), { code: 'EFLOUR' });
    case 'throw with a cause':
      throw new Error('out of flour', { cause: new RangeError('no mill') });
    case 'reject':
      throw new RejectMessage('negative');
    case 'choose':
      if (attempt > 1) throw new RejectMessage('negative');
      if (headers['x-millrace-postpones'] === undefined) throw new Postpone(20, 'not yet');
      throw new RetryLater(30, 'the mill is busy');
    case 'reject as another copy':
      throw Object.assign(new Error('negative'), { [Symbol.for('millrace.RejectMessage')]: true });
    case 'throw what is named so':
      throw Object.assign(new Error('negative'), { name: 'RejectMessage' });
    case 'exit':
      return process.exit(3);
    case 'crash':
      setImmediate(() => {
        throw new Error('nobody catches this');
      });
      return new Promise(() => {});
    case 'spin':
      while (Date.now() < command.until);
      return 'spun';
    case 'spin until there is':
      new BroadcastChannel(command.tell).postMessage('begun');
      while (!existsSync(command.end));
      return 'spun';
    case 'spin for ever':
      if (command.tell !== undefined) new BroadcastChannel(command.tell).postMessage('begun');
      for (;;);
    case 'wait for the signal':
      return new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(new RejectMessage(`told: ${signal.reason.code}`)));
      });
    case 'return instances':
      return { value: new Amount(150), bytes: Buffer.of(7), callback() {} };
    case 'return a function':
      return () => {};
    default:
      throw new Error(`cannot ${command.do}`);
  }
}

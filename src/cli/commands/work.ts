import type { Broker } from '../../broker.js';
import type { Consumer } from '../../consumer/consumer.js';
import type { ConsumerOptions } from '../../consumer/consumer-options.js';
import { createConsumer } from '../../consumer/create-consumer.js';
import type { Handler } from '../../consumer/handler-run.js';
import type { Queue } from '../../queue.js';
import { type AddressFlags, chooseAddress, embeddedAddress } from '../address.js';
import { brokerEventLine } from '../event-line.js';
import { CommandError, EXIT, type ExitCode } from '../exit-code.js';
import { openBroker, refuseMemory } from '../open-broker.js';
import type { Output, OutputFlags } from '../output.js';
import { bytesQueue, decodedQueue } from '../text-queue.js';
import { importHandler } from './work/handler-module.js';
import { printMessage } from './work/print-message.js';
import { shellCommand } from './work/shell-command.js';
import { Worker } from './work/worker.js';

export interface WorkFlags extends AddressFlags, OutputFlags {
  readonly queue: string;
  readonly exec?: string;
  readonly concurrency: number;
  readonly prefetch?: number;
  readonly count?: number;
  readonly drain?: boolean;
  readonly retry?: readonly number[];
  readonly handlerTimeout?: number;
  readonly shutdownTimeout: number;
  readonly report: number;
  readonly connectTimeout: number;
}

/** What is to be done with each message. */
interface Job {
  /** Only shows the messages, which takes no time. */
  readonly prints: boolean;
  readonly createConsumer: (broker: Broker, worker: Worker, options: ConsumerOptions) => Consumer;
  /** Ends what still runs. */
  readonly end: () => Promise<void>;
}

export async function work(
  handlerPath: string | undefined,
  flags: WorkFlags,
  output: Output,
): Promise<ExitCode> {
  const chosen = chooseAddress(flags, process.env, embeddedAddress(process.env));
  refuseMemory(chosen, 'work');
  const job = await chooseJob(handlerPath, flags, output);

  let wasLost = false;
  const broker = await openBroker(chosen, output, {
    connectTimeout: flags.connectTimeout,
    observe: (event) => {
      if (event.type === 'disconnected') wasLost = true;
      if (event.type !== 'connected' || wasLost) output.log(brokerEventLine(event));
    },
  });
  try {
    const worker = new Worker(broker, output, {
      queue: flags.queue,
      count: flags.count,
      drain: flags.drain === true,
      shutdownTimeoutMs: flags.shutdownTimeout,
      reportIntervalMs: flags.report,
      announce: () => announce(job, flags, broker, output),
    });
    return await worker.run(job.createConsumer(broker, worker, consumerOptions(job, flags, worker)));
  } finally {
    // In this order: what a command that is ended here leaves undone is given back already, and not tried later.
    await broker.close();
    await job.end();
  }
}

async function chooseJob(
  handlerPath: string | undefined,
  { queue, exec }: WorkFlags,
  output: Output,
): Promise<Job> {
  const nothing = async () => {};
  if (exec !== undefined) {
    if (handlerPath !== undefined) {
      throw new CommandError(EXIT.usage, 'both a handler module and --exec are given; give one of them');
    }
    const command = shellCommand(exec);
    return jobOf(bytesQueue(queue), command.handle, { end: command.end });
  }
  if (handlerPath !== undefined)
    return jobOf(decodedQueue(queue), await importHandler(handlerPath), { end: nothing });
  return jobOf(bytesQueue(queue), printMessage(output), { prints: true, end: nothing });
}

function jobOf<T>(
  queue: Queue<T>,
  handler: Handler<T>,
  { prints = false, end }: { readonly prints?: boolean; readonly end: () => Promise<void> },
): Job {
  return {
    prints,
    createConsumer: (broker, worker, options) =>
      createConsumer(
        broker,
        queue,
        (value, context) => worker.handle(() => handler(value, context)),
        options,
      ),
    end,
  };
}

/** Printing takes less than the way to the broker: many messages have to be under way to keep it busy. */
const PRINTING_PREFETCH = 100;

function consumerOptions(job: Job, flags: WorkFlags, worker: Worker): ConsumerOptions {
  // No more than are asked for: the others are for other workers.
  const most = flags.count ?? Number.POSITIVE_INFINITY;
  const concurrency = Math.min(flags.concurrency, most);
  const prefetch = flags.prefetch ?? Math.max(2 * concurrency, job.prints ? PRINTING_PREFETCH : 0);
  return {
    concurrency,
    prefetch: Math.min(prefetch, most, 65_535),
    ...(flags.retry === undefined ? {} : { retry: { delaysMs: flags.retry } }),
    handlerTimeoutMs: flags.handlerTimeout,
    observe: (event) => worker.observe(event),
  };
}

function announce(job: Job, flags: WorkFlags, broker: Broker, output: Output): void {
  const text = `Waiting for messages in '${flags.queue}'. To exit press CTRL+C`;
  const fields = { queue: flags.queue, broker: broker.address };
  if (job.prints && !output.json) output.note(` [*] ${text}`);
  else output.log({ event: 'started', level: 'info', text, fields });
}

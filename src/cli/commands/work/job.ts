/** The handling of a message by `millrace work`: prints it, or passes it to a command or a module. */
import { once } from 'node:events';
import { resolve } from 'node:path';
import type { Broker } from '../../../broker.js';
import type { Consumer, Handler } from '../../../consumer/consumer.js';
import type { ConsumerOptions } from '../../../consumer/consumer-options.js';
import { createConsumer } from '../../../consumer/create-consumer.js';
import type { Queue } from '../../../queue.js';
import { type AddressFlags, maskPasswords } from '../../address.js';
import { CommandError, EXIT } from '../../exit-code.js';
import { importHandler } from '../../import-module.js';
import { messageRecord } from '../../message-record.js';
import { type Output, showBody } from '../../output.js';
import { shellCommand } from '../../shell-command.js';
import { bytesQueue, decodedQueue, labelledQueue } from '../../text-queue.js';
import type { Worker } from './worker.js';

export interface JobFlags extends AddressFlags {
  readonly passUrl?: boolean;
  readonly queue: string;
  readonly exec?: string;
  readonly concurrency: number;
  readonly prefetch?: number;
  readonly count?: number;
  readonly retry?: readonly number[];
  readonly handlerTimeout?: number;
}

export interface Job {
  readonly createConsumer: (broker: Broker, worker: Worker) => Consumer;
  /** Terminates commands that are still running. */
  readonly end: () => Promise<void>;
}

export async function chooseJob(
  handlerPath: string | undefined,
  flags: JobFlags,
  output: Output,
): Promise<Job> {
  const { queue, exec } = flags;
  if (exec !== undefined) {
    if (handlerPath !== undefined) {
      throw new CommandError(EXIT.usage, 'a handler module and --exec exclude each other; use one of them');
    }
    const command = shellCommand(exec, addressVariables(flags));
    return { ...jobOf(labelledQueue(queue), command.handle, flags), end: command.end };
  }
  if (handlerPath !== undefined) return jobOf(decodedQueue(queue), await importHandler(handlerPath), flags);
  return jobOf(bytesQueue(queue), printMessage(output), { ...flags, prints: true });
}

/**
 * The environment that makes a `millrace` run by the command use the same broker. Addresses from the environment are
 * inherited as they are; a password on the command line is only passed on with `--pass-url`.
 */
function addressVariables({ url, urlFile, passUrl }: JobFlags): Readonly<Record<string, string | undefined>> {
  if (urlFile !== undefined) return { MILLRACE_URL: undefined, MILLRACE_URL_FILE: resolve(urlFile) };
  if (url === undefined) return {};
  return passUrl || maskPasswords(url) === url ? { MILLRACE_URL: url } : {};
}

/** Printing is faster than a round trip to the broker, so many messages have to be in flight. */
const PRINTING_PREFETCH = 100;

function jobOf<T>(
  queue: Queue<T>,
  handler: Handler<T>,
  { prints = false, ...flags }: JobFlags & { readonly prints?: boolean },
): Job {
  // No more than --count: further messages are for other workers.
  const most = flags.count ?? Number.POSITIVE_INFINITY;
  const concurrency = Math.min(flags.concurrency, most);
  const prefetch = flags.prefetch ?? Math.max(2 * concurrency, prints ? PRINTING_PREFETCH : 0);
  const options: ConsumerOptions = {
    concurrency,
    prefetch: Math.min(prefetch, most, 65_535),
    ...(flags.retry === undefined ? {} : { retry: { delaysMs: flags.retry } }),
    handlerTimeoutMs: flags.handlerTimeout,
    // That of a failed command would only name this program.
    errorStacks: flags.exec === undefined,
  };
  return {
    createConsumer: (broker, worker) =>
      createConsumer(broker, queue, (value, context) => worker.handle(() => handler(value, context)), {
        ...options,
        observe: (event) => worker.observe(event),
      }),
    end: async () => {},
  };
}

/** Prints each message, and acknowledges it once it is written. */
function printMessage(output: Output): Handler<Uint8Array> {
  return async (body, context) => {
    const written = output.json
      ? output.record(messageRecord(body, context))
      : output.block(` [x] Received '${showBody(body)}'`);
    // If standard output is closed, the message is not acknowledged, and the worker stops.
    if (!(await written)) await once(context.signal, 'abort');
  };
}

/** `millrace work` */
import type { Command } from 'commander';
import type { Broker } from '../../broker.js';
import { operatorOf } from '../../common/backend-of.js';
import { brokerEventLine, type EventLine } from '../../common/reporting/event-line.js';
import { chooseAddress } from '../address.js';
import { ADDRESS_HELP, addHelp, type CommonFlags, type Execute, shellQuoted } from '../common-options.js';
import type { ExitCode } from '../exit-code.js';
import { openBroker, refuseMemory } from '../open-broker.js';
import {
  delaysValue,
  durationOption,
  type HttpAddress,
  httpValue,
  integerValue,
  oneOrMore,
  positiveDurationValue,
} from '../option-values.js';
import type { Output } from '../output.js';
import { makeIfMissing } from '../text-queue.js';
import type { HttpServer } from './work/http-server.js';
import { chooseJob, type JobFlags } from './work/job.js';
import { Worker } from './work/worker.js';

/** How long the check for a pause may take. Milliseconds. */
const PAUSED_LIMIT_MS = 10_000;

interface WorkFlags extends CommonFlags, JobFlags {
  readonly count?: number;
  readonly drain?: boolean;
  readonly shutdownTimeout: number;
  readonly report: number;
  readonly http?: HttpAddress;
}

const EXAMPLES = `
Examples:
  $ millrace work                                 print messages as they arrive
  $ millrace work -q orders ./handler.js -c 4
  $ millrace work -q images --exec ./resize.sh    retried unless it exits 0
  $ millrace work -q orders --drain --json        print all messages, then exit
  $ millrace work -q orders ./handler.js --http 9464`;

const NOTES = `
--exec sets these environment variables: MILLRACE_ID, MILLRACE_QUEUE, MILLRACE_EXCHANGE and MILLRACE_ROUTING_KEY (where the message was published), MILLRACE_ATTEMPT (1 for the first), MILLRACE_REDELIVERED (true or false), MILLRACE_HEADERS (a JSON object), MILLRACE_CONTENT_TYPE and, if the message has them, MILLRACE_TIMESTAMP (milliseconds since 1970), MILLRACE_TYPE, MILLRACE_APP_ID, MILLRACE_CORRELATION_ID and MILLRACE_REPLY_TO. With -u, MILLRACE_URL is that address, so that a millrace which the command runs uses the same broker; if it contains a password, only with --pass-url.

A handler module in TypeScript needs Node.js 22.18 or later; below that, compile it.

The first signal stops taking messages and lets running handlers finish: within --shutdown-timeout after INT and TERM, within at most 5s after HUP and QUIT. A second one returns unfinished messages to the queue.`;

export function addWorkCommand(program: Command, execute: Execute): void {
  const command = program
    .command('work')
    .description(
      'Handles the messages of a queue until stopped: prints them, or passes them to a command or module.',
    )
    .argument('[handler]', 'a module whose default export, (value, context) => …, handles each message')
    .option(
      '-q, --queue <name>',
      'the queue; created with the defaults of defineQueue if missing, or as in the RabbitMQ tutorials',
      'hello',
    )
    .option(
      '--exec <command>',
      'run a shell command per message, with the body on standard input; exit code 0 acknowledges it',
    )
    .option('--pass-url', 'pass the address to the command of --exec although it contains a password')
    .option('-c, --concurrency <n>', 'how many messages to handle at once', integerValue(1, 65_535), 1)
    .option(
      '-p, --prefetch <n>',
      'how many messages to hold at once (default: twice the concurrency, or 100 for printing)',
      integerValue(1, 65_535),
    )
    .option('--count <n>', 'take exactly this many messages, then exit', oneOrMore)
    .option('--drain', 'exit when the queue is empty, with exit code 4 if there were no messages')
    .option(
      '--retry <delays>',
      "the delays before each retry of a failed message, 'none' for no retries (default: 1s,10s,60s)",
      delaysValue,
    )
    .addOption(
      durationOption(
        '--handler-timeout <duration>',
        'how long handling a message may take (default: 25m)',
        undefined,
        positiveDurationValue,
      ),
    )
    .addOption(
      durationOption(
        '--shutdown-timeout <duration>',
        'how long running handlers may take to finish after the first INT or TERM',
        '30s',
      ),
    )
    .addOption(
      durationOption(
        '--report <duration>',
        'how often to log the counts of messages handled, retried and so on; also logged at the end',
        '60s',
        positiveDurationValue,
      ),
    )
    .option(
      '--http <address>',
      'serve /metrics, /livez and /readyz at PORT of this machine, or at HOST:PORT',
      httpValue,
    )
    .action((handler: string | undefined, flags: WorkFlags) =>
      execute(flags, (output) => work(handler, flags, output)),
    );
  addHelp(command, EXAMPLES, NOTES, ADDRESS_HELP);
}

async function work(handlerPath: string | undefined, flags: WorkFlags, output: Output): Promise<ExitCode> {
  const chosen = chooseAddress(flags);
  refuseMemory(chosen, 'work');
  const job = await chooseJob(handlerPath, flags, output);

  let http: HttpServer | undefined;
  let wasLost = false;
  const broker = await openBroker(chosen, output, {
    connectTimeout: flags.connectTimeout,
    observe: (event) => {
      if (event.type === 'disconnected') wasLost = true;
      // `onIdle` says it with the command to resume the queue.
      if (event.type === 'queue-paused') return;
      if (event.type !== 'connected' || wasLost) output.log(brokerEventLine(event));
    },
    isNamedLater: output.logsAsJson,
  });
  try {
    await makeIfMissing(broker, flags.queue);
    const worker = new Worker(broker, output, {
      queue: flags.queue,
      count: flags.count,
      drain: flags.drain === true,
      shutdownTimeoutMs: flags.shutdownTimeout,
      reportIntervalMs: flags.report,
      announce: () => output.log(startedLine(flags.queue, broker.url, chosen.source)),
      onIdle: () => void warnIfPaused(broker, flags.queue, output),
    });
    const consumer = job.createConsumer(broker, worker);
    if (flags.http !== undefined) {
      const { HttpServer } = await import('./work/http-server.js');
      http = await HttpServer.start(flags.http, { broker, consumer });
      output.log(http.line);
    }
    return await worker.run(consumer);
  } finally {
    // The order matters: when its command is terminated, a message is already back in the queue and is not retried.
    await broker.close();
    await job.end();
    await http?.close();
  }
}

function startedLine(queue: string, broker: string, source: string): EventLine {
  const text = `Waiting for messages in '${queue}'. To exit press CTRL+C`;
  return { event: 'started', level: 'info', text, fields: { queue, broker, source } };
}

/** Nothing else says why the worker gets no messages. RabbitMQ can't pause a queue. */
async function warnIfPaused(broker: Broker, queue: string, output: Output): Promise<void> {
  if (!broker.url.startsWith('local:')) return;
  const info = await operatorOf(broker)
    .queue(queue, { timeoutMs: PAUSED_LIMIT_MS })
    .catch(() => undefined);
  if (info?.paused !== true) return;
  const text = `'${queue}' is paused: its messages wait until 'millrace resume ${shellQuoted(queue)}'`;
  output.log({ event: 'queue-paused', level: 'warn', text, fields: { queue } });
}

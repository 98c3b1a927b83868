/** `millrace send` */
import type { Command } from 'commander';
import { createProducer } from '../../producer/producer.js';
import { ADDRESS_HELP, addHelp, type Execute } from '../common-options.js';
import type { ExitCode } from '../exit-code.js';
import { quoted } from '../message-input.js';
import { shortTextValue } from '../option-values.js';
import type { Output } from '../output.js';
import { addMessageOptions, type InputSender, type SendInputFlags, sendInput } from '../send-input.js';
import { sendingQueue } from '../text-queue.js';

interface SendFlags extends SendInputFlags {
  readonly queue: string;
  readonly type?: string;
}

const EXAMPLES = `
Examples:
  $ millrace send 'Hello World!'
  $ millrace send -q orders '{"id":"A-1","total":12.5}'
  $ millrace send -q images -f cat.png -H tenant:blue -u amqp://localhost
  $ tail -f access.log | millrace send -l -q hits`;

export function addSendCommand(program: Command, execute: Execute): void {
  const command = program
    .command('send')
    .description('Sends a message, or with --lines one per line of input, and exits when they are stored.')
    .argument('[message...]', "the message; '-', or no words and piped input, reads standard input")
    .option('-q, --queue <name>', 'the queue; declared as in the RabbitMQ tutorials if missing', 'hello')
    .option('--type <type>', 'what kind of message it is, for receivers that handle several', shortTextValue);
  addMessageOptions(command).action((words: string[], flags: SendFlags) =>
    execute(flags, (output) => send(words, flags, output)),
  );
  addHelp(command, EXAMPLES, ADDRESS_HELP);
}

function send(words: readonly string[], flags: SendFlags, output: Output): Promise<ExitCode> {
  const { queue, type, contentType, timeout } = flags;
  const target = sendingQueue(queue, contentType);
  return sendInput('send', words, flags, output, {
    usage: 'millrace send -',
    open: (broker): InputSender => {
      const producer = createProducer(broker, target, { timeoutMs: timeout });
      return {
        async one(body, options) {
          const { id } = await producer.send(body, { ...options, type });
          return { text: `Sent ${quoted(body)}`, facts: { id, queue } };
        },
        async many(bodies, options) {
          const { stored } = await producer.sendMany(bodies, { ...options, type });
          const text = `Sent ${stored} ${stored === 1 ? 'message' : 'messages'} to '${queue}'`;
          return { text, facts: { sent: stored, queue } };
        },
      };
    },
  });
}

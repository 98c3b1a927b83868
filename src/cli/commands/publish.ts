/** `millrace publish` */
import type { Command } from 'commander';
import { createPublisher } from '../../topics/publisher.js';
import { ADDRESS_HELP, addHelp, type Execute } from '../common-options.js';
import type { ExitCode } from '../exit-code.js';
import { quoted } from '../message-input.js';
import { nameValue } from '../option-values.js';
import type { Output } from '../output.js';
import { addMessageOptions, type InputSender, type SendInputFlags, sendInput } from '../send-input.js';
import { sendingTopic } from '../text-queue.js';

interface PublishFlags extends SendInputFlags {
  readonly topic: string;
  readonly mandatory?: boolean;
}

const EXAMPLES = `
Examples:
  $ millrace publish order.placed '{"id":"A-1","total":12.5}' -t shop
  $ tail -f events.ndjson | millrace publish log.line -l -t logs`;

const NOTES = `
Each subscription that takes the event gets a copy. On RabbitMQ, if one of them refuses its copy, the others have theirs: the exit code is then 75.

Exit codes: 0 stored in all subscriptions, if there are any; 65 invalid message; 75 no room in time, or with --mandatory no subscription.`;

export function addPublishCommand(program: Command, execute: Execute): void {
  const command = program
    .command('publish')
    .description('Publishes an event to a topic, or with --lines one per line of input.')
    .argument('<event>', 'the name of the event: words between dots, such as order.placed', nameValue)
    .argument('[message...]', "its value; '-', or no words and piped input, reads standard input")
    .requiredOption('-t, --topic <name>', 'the topic; declared if missing', nameValue)
    .option('--mandatory', 'fail if no subscription takes the event');
  addMessageOptions(command).action((event: string, words: string[], flags: PublishFlags) =>
    execute(flags, (output) => publish(event, words, flags, output)),
  );
  addHelp(command, EXAMPLES, NOTES, ADDRESS_HELP);
}

function publish(
  event: string,
  words: readonly string[],
  flags: PublishFlags,
  output: Output,
): Promise<ExitCode> {
  const { topic, mandatory, contentType, timeout } = flags;
  const target = sendingTopic(topic, event, contentType, {
    // The broker's own exchanges, `amq.…`, can't be declared.
    declare: topic.startsWith('amq.') ? 'existing' : 'if-missing',
    unrouted: mandatory ? 'error' : 'ignore',
  });
  return sendInput('publish', words, flags, output, {
    usage: `millrace publish ${event} - -t ${topic}`,
    open: (broker): InputSender => {
      const publisher = createPublisher(broker, target, { timeoutMs: timeout });
      return {
        async one(body, options) {
          const { id, routed } = await publisher.publish(event, body, options);
          return {
            text: `Published ${event} ${quoted(body)}`,
            facts: { id, routed, event, topic },
            warning: routed ? undefined : `no subscription of '${topic}' takes '${event}'`,
          };
        },
        async many(bodies, options) {
          const { published, routed } = await publisher.publishMany(pairs(event, bodies), options);
          const missed = published - routed;
          return {
            text: `Published ${published} ${published === 1 ? 'event' : 'events'} to '${topic}'`,
            facts: { published, routed, event, topic },
            warning: missed === 0 ? undefined : `no subscription of '${topic}' took ${missed} of them`,
          };
        },
      };
    },
  });
}

async function* pairs(
  event: string,
  bodies: AsyncIterable<Uint8Array>,
): AsyncGenerator<readonly [string, Uint8Array]> {
  for await (const body of bodies) yield [event, body];
}

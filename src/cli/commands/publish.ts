/** `millrace publish` */

import type { Command } from 'commander';
import type { Broker } from '../../broker.js';
import { backendOf } from '../../common/backend-of.js';
import { count } from '../../common/reporting/count.js';
import { isQueueError } from '../../errors.js';
import { createPublisher } from '../../topics/publisher.js';
import type { TopicOptions } from '../../topics/topic.js';
import { ADDRESS_HELP, addHelp, type Execute } from '../common-options.js';
import type { ExitCode } from '../exit-code.js';
import { importEvent } from '../import-module.js';
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

Exit codes: 0 stored in all subscriptions, if there are any; 4 with --mandatory: no such topic; 65 invalid message; 75 no room in time, or with --mandatory no subscription.`;

export function addPublishCommand(program: Command, execute: Execute): void {
  const command = program
    .command('publish')
    .description('Publishes an event to a topic, or with --lines one per line of input.')
    .argument('<event>', 'the name of the event: words between dots, such as order.placed', nameValue)
    .argument('[message...]', "its value; '-', or no words and piped input, reads standard input")
    .requiredOption(
      '-t, --topic <name>',
      'the topic; declared if missing, unless with --mandatory',
      nameValue,
    )
    .option('--mandatory', 'fail if no subscription takes the event')
    .option(
      '--schema <module>',
      'check the value first; the module exports the topic, or its default export is a schema',
    );
  addMessageOptions(command).action((event: string, words: string[], flags: PublishFlags) =>
    execute(flags, (output) => publish(event, words, flags, output)),
  );
  addHelp(command, EXAMPLES, NOTES, ADDRESS_HELP);
}

async function publish(
  event: string,
  words: readonly string[],
  flags: PublishFlags,
  output: Output,
): Promise<ExitCode> {
  const { topic, mandatory, contentType, timeout, schema } = flags;
  const check = schema === undefined ? undefined : (await importEvent(schema, topic, event)).decode;
  const options: TopicOptions = {
    // A topic that does not exist has no subscriptions, and the broker's own exchanges, `amq.…`, can't be declared.
    declare: mandatory || topic.startsWith('amq.') ? 'existing' : 'if-missing',
    unrouted: mandatory ? 'error' : 'ignore',
  };
  const target = sendingTopic(topic, event, contentType, options, check);
  return sendInput('publish', words, flags, output, {
    usage: `millrace publish ${event} - -t ${topic}`,
    open: (broker): InputSender => {
      const publisher = createPublisher(broker, target, { timeoutMs: timeout });
      return {
        async one(body, options) {
          const isNew = await isMissing(broker, target, options);
          const { id, routed } = await publisher.publish(event, body, options);
          return {
            text: `Published ${event} ${quoted(body)}`,
            facts: { id, routed, event, topic },
            warning: routed ? undefined : warningOf(topic, isNew, `takes '${event}'`),
          };
        },
        async many(bodies, options) {
          const isNew = await isMissing(broker, target, options);
          const { published, routed } = await publisher.publishMany(pairs(event, bodies), options);
          const missed = published - routed;
          return {
            text: `Published ${count(published, 'event')} to '${topic}'`,
            facts: { published, routed, event, topic },
            warning: missed === 0 ? undefined : warningOf(topic, isNew, `took ${missed} of them`),
          };
        },
      };
    },
  });
}

/** Whether publishing will create the topic, perhaps under a misspelt name. */
async function isMissing(
  broker: Broker,
  { exchange }: ReturnType<typeof sendingTopic>,
  { signal }: { readonly signal: AbortSignal },
): Promise<boolean> {
  if (exchange.spec.declare !== 'if-missing') return false;
  try {
    await backendOf(broker).declareExchange({ ...exchange.spec, declare: 'existing' }, { signal });
    return false;
  } catch (error) {
    if (isQueueError(error, 'QUEUE_MISSING')) return true;
    throw error;
  }
}

function warningOf(topic: string, isNew: boolean, missed: string): string {
  const unrouted = `no subscription of '${topic}' ${missed}`;
  return isNew ? `the topic '${topic}' did not exist and was created; ${unrouted}` : unrouted;
}

async function* pairs(
  event: string,
  bodies: AsyncIterable<Uint8Array>,
): AsyncGenerator<readonly [string, Uint8Array]> {
  for await (const body of bodies) yield [event, body];
}

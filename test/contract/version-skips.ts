import { brokerVersion } from '../support/broker.js';
import type { Skips } from './subject.js';

/**
 * Promises that quorum queues of an older RabbitMQ can't keep. What they do instead is in
 * test/rabbitmq/versions.test.ts, and listed in the README.
 */
export function brokerSkips(): Skips {
  const { quorumPriorities, countsFailuresOnly } = brokerVersion();
  return {
    ...(quorumPriorities < 32 && {
      'higher priorities come first, and a message without one counts as 4':
        'quorum queues have fewer priorities before 4.3',
    }),
    ...(!countsFailuresOnly && {
      'release returns the message at no cost: redelivered, with the same attempt':
        'quorum queues count what is given back before 4.3',
    }),
  };
}

/** Dead letters are stored in quorum queues, whatever the type of their queue. */
export function toolkitSkips(): Skips {
  const { quorumPriorities, countsFailuresOnly } = brokerVersion();
  if (countsFailuresOnly) return {};
  return {
    ...(quorumPriorities < 2 && {
      'events of a subscription keep their order by key, and their priority':
        'quorum queues have no priorities before 4.0',
    }),
    'a limit selects the first ones, and the result has the total':
      'what is given back to a dead-letter queue lines up at the end before 4.3',
  };
}

/**
 * On an older server, a variant of the client only runs what both of them affect: what the server counts and declares,
 * and how the client settles for it. The rest runs with this variant on the present server, and with the usual client on
 * the older one.
 */
export function groupsOfVariant(): readonly string[] | undefined {
  if (brokerVersion().countsFailuresOnly) return undefined;
  return ['delivery', 'settlement', 'declaration', 'again', 'dead letters'];
}

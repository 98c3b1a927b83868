import { readdirSync } from 'node:fs';
import { defineConfig } from 'vitepress';

const pages = new URL('../dist/pages/', import.meta.url);

const link = (text, to) => ({ text, link: `/${to}` });

/** The names of one entry point, as they are in its folder of the reference. */
function reference(name) {
  const folder = new URL(`reference/${name}/`, pages);
  const names = [];
  try {
    for (const kind of ['functions', 'classes', 'interfaces', 'type-aliases', 'variables'])
      for (const file of list(new URL(`${kind}/`, folder)))
        names.push(link(file.replace('.md', ''), `reference/${name}/${kind}/${file.replace('.md', '')}`));
  } catch {
    // Assembled without the reference.
  }
  return { text: name, link: `/reference/${name}/`, collapsed: true, items: names };
}

function list(folder) {
  try {
    return readdirSync(folder).sort();
  } catch {
    return [];
  }
}

const examples = list(new URL('examples/', pages))
  .filter((file) => file !== 'index.md')
  .map((file) => link(file.replace('.md', ''), `examples/${file.replace('.md', '')}`));

const entryPoints = [
  'millrace',
  ...list(new URL('reference/millrace/', pages))
    .filter(
      (name) => !/\.md$|^(functions|classes|interfaces|type-aliases|variables|enumerations)$/.test(name),
    )
    .map((name) => `millrace/${name}`),
];

export default defineConfig({
  title: 'millrace',
  description: 'Typed message queues for Node.js: in the process, on disk, or on RabbitMQ.',
  // No icon of its own; without this browsers ask for one.
  head: [['link', { rel: 'icon', href: 'data:,' }]],
  srcDir: './dist/pages',
  outDir: './dist/site',
  cacheDir: './dist/cache',
  cleanUrls: true,
  lastUpdated: false,
  // Without a site there is no telling where its pages are: only addresses of this machine are exempt.
  ignoreDeadLinks: [/^https?:\/\/(localhost|127\.0\.0\.1)/],
  markdown: { theme: { light: 'github-light-high-contrast', dark: 'github-dark-high-contrast' } },
  themeConfig: {
    search: { provider: 'local' },
    outline: [2, 3],
    nav: [link('Start', 'getting-started'), link('API', 'reference/'), link('Command line', 'command-line')],
    sidebar: [
      {
        text: 'Introduction',
        items: [
          link('Getting started', 'getting-started'),
          link('Concepts', 'concepts'),
          link('What is promised', 'promises'),
          link('Where the backends differ', 'versions'),
          link('Queues in a folder', 'disk'),
          link('RabbitMQ', 'rabbitmq'),
          link('Options', 'options'),
          link('Compared with others', 'comparison'),
        ],
      },
      {
        text: 'Features',
        items: [
          link('Events and topics', 'events'),
          link('Requests and replies', 'request-reply'),
          link('Message properties', 'messages'),
          link('Duplicates', 'messages#duplicates'),
          link('Retries', 'retries'),
          link('Dead letters', 'dead-letters'),
          link('Delayed messages', 'later'),
          link('Schedules', 'schedules'),
          link('Order', 'ordering'),
          link('Pace', 'pace'),
          link('Batches', 'batches'),
          link('Imports', 'imports'),
          link('Locks', 'locks'),
          link('Handlers in threads', 'threads'),
          link('Around each message', 'around'),
          link('A loop instead of a handler', 'receive'),
          link('Stopping a program', 'stopping'),
          link('The in-process queue alone', 'local-queue'),
        ],
      },
      {
        text: 'Guides',
        items: [
          link('Docker and compose', 'guides/docker'),
          link('Kubernetes', 'guides/kubernetes'),
          link('Bundlers and native modules', 'guides/bundling'),
          link('Network file systems', 'guides/network-file-systems'),
          link('Nest and Fastify', 'guides/frameworks'),
          link('Testing', 'testing'),
          link('Values JSON does not have', 'guides/values'),
          link('Migrating from amqplib', 'guides/from-amqplib'),
          link('Migrating from BullMQ', 'guides/from-bullmq'),
          link('Migrating from pg-boss', 'guides/from-pg-boss'),
          link('Migrating from rascal', 'guides/from-rascal'),
        ],
      },
      {
        text: 'Operations',
        items: [
          link('Before production', 'production'),
          link('Troubleshooting', 'troubleshooting'),
          link('Queues', 'operations'),
          link('Changing a queue', 'changing-a-queue'),
          link('The page', 'page'),
          link('Warnings, logs, events', 'observing'),
          link('Metrics and health', 'metrics'),
          link('Traces', 'tracing'),
          link('Compatibility of versions', 'compatibility'),
        ],
      },
      {
        text: 'Figures',
        items: [link('Faults', 'faults'), link('Benchmarks', 'benchmarks')],
      },
      { text: 'Examples', collapsed: true, link: '/examples/', items: examples },
      {
        text: 'Reference',
        items: [link('Command line', 'command-line'), ...entryPoints.map(reference)],
      },
      {
        text: 'Project',
        collapsed: true,
        items: [
          link('Changelog', 'changelog'),
          link('Design', 'design'),
          link('Contributing', 'contributing'),
          link('Security', 'security'),
        ],
      },
    ],
  },
  vite: {
    // Search and the default theme are all that is bundled: nothing to report.
    build: { chunkSizeWarningLimit: 4000 },
  },
});

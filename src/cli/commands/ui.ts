/** `millrace ui` */

import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Command } from 'commander';
import { onAbort } from '../../common/waiting/waiting.js';
import { auditLine } from '../../page/actions/audit.js';
import type { PageOptions } from '../../page/page-types.js';
import { addHelp, type Execute, shellQuoted } from '../common-options.js';
import { CommandError, EXIT, type ExitCode } from '../exit-code.js';
import { importSchedules } from '../import-module.js';
import { integerValue, nameValue } from '../option-values.js';
import type { Output } from '../output.js';
import { addOperatorOptions, type OperatorFlags, withOperator } from './operator/operator-command.js';
import { CurrentPage } from './ui/current-page.js';

interface UiFlags extends OperatorFlags {
  readonly port: number;
  readonly host: string;
  readonly allowHost?: readonly string[];
  readonly queue?: readonly string[];
  readonly schedules?: string;
  readonly metrics?: readonly string[];
  readonly keepHistory?: boolean;
  readonly readOnly?: boolean;
  readonly hideBodies?: boolean;
}

const DEFAULT_PORT = 7070;
/** How long a client may take to send its request. Milliseconds. */
const REQUEST_LIMIT_MS = 10_000;
/** Node's own interval is longer than the limit. */
const LIMIT_CHECK_MS = 1_000;

const EXAMPLES = `
Examples:
  $ millrace ui                                  print a URL to open in a browser
  $ millrace ui --read-only --hide-bodies        look, but don't touch
  $ millrace ui --metrics http://127.0.0.1:9464/metrics
  $ millrace ui -u amqp://localhost -q orders    need no management API`;

const NOTES = `
Anyone with the printed URL can use the page: it ends with a token that is new each time. --host serves other machines, without encryption: put a TLS proxy in front of it. Actions are logged here.`;

const collect = (value: string, before: readonly string[] = []): readonly string[] => [...before, value];

export function addUiCommand(program: Command, execute: Execute): void {
  const command = program
    .command('ui')
    .description('Serves a web page for inspecting queues and dead letters and acting on them.')
    .option('--port <port>', 'the port; 0 picks a free one', integerValue(0, 65_535), DEFAULT_PORT)
    .option('--host <address>', 'the address to listen at', '127.0.0.1')
    .option('--allow-host <name>', 'another host name under which browsers may reach it; repeatable', collect)
    .option(
      '-q, --queue <name>',
      'only this queue; repeatable (default: all)',
      (name: string, before?: readonly string[]) => collect(nameValue(name), before),
    )
    .option('--schedules <module>', 'show the schedules that this module exports')
    .option(
      '--metrics <url>',
      "the metrics of a worker, as 'millrace work --http PORT' serves them at /metrics; repeatable",
      collect,
    )
    .option('--keep-history', 'collect figures for the charts also while the page is closed')
    .option('--read-only', 'disable all actions')
    .option('--hide-bodies', 'hide the bodies and headers of messages')
    .action((flags: UiFlags) => execute(flags, (output) => ui(flags, output)));
  addHelp(command, EXAMPLES, NOTES);
  addOperatorOptions(command);
}

async function ui(flags: UiFlags, output: Output): Promise<ExitCode> {
  const { createPage } = await import('../../page/create-page.js');
  const schedules = flags.schedules === undefined ? [] : await importSchedules(flags.schedules);
  const whenEmpty = (where: string): ExitCode => {
    throw new CommandError(
      EXIT.empty,
      `${where} has no queues yet; to create one: millrace send hello -u ${shellQuoted(where)}`,
    );
  };
  return withOperator('ui', flags, output, whenEmpty, async ({ broker, reopen, signal }) => {
    const options = {
      hosts: [flags.host, ...(flags.allowHost ?? [])],
      queues: flags.queue,
      schedules,
      metrics: flags.metrics,
      history: flags.keepHistory === true ? 'always' : 'watched',
      readOnly: flags.readOnly,
      hideBodies: flags.hideBodies,
      audit: (entry) => {
        const { user, action, queue, outcome, ok } = entry;
        const fields = { user, action, queue, outcome };
        output.log({ event: 'action', level: ok ? 'info' : 'warn', text: auditLine(entry), fields });
      },
    } satisfies PageOptions;
    const page = new CurrentPage(broker, {
      createPage: (current, token) => createPage(current, { ...options, token }),
      reopen,
      onGone: (folder) => {
        const text = `${folder} was moved or removed: the page continues if the same files are back`;
        output.log({ event: 'folder-gone', level: 'warn', text, fields: { folder } });
      },
    });
    const { createServer } = await import('node:http');
    const limits = {
      requestTimeout: REQUEST_LIMIT_MS,
      headersTimeout: REQUEST_LIMIT_MS,
      connectionsCheckingInterval: LIMIT_CHECK_MS,
    };
    const server = createServer(limits, page.handle);
    try {
      const url = await listen(server, flags);
      // It is the purpose of the command, so it is printed even with --quiet.
      await output.data(`${url}/?token=${page.token}`);
      output.note(' [*] Open this URL in a browser. To exit press CTRL+C');
      await new Promise<void>((resolve) => {
        if (signal.aborted) resolve();
        else onAbort(signal, resolve);
      });
    } finally {
      await page.close();
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    }
    // A signal is how it is ended.
    return EXIT.ok;
  });
}

/** Resolves to the address of the server. */
async function listen(server: Server, { host, port }: UiFlags): Promise<string> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      const hint = cause.code === 'EADDRINUSE' ? `; --port 0 picks a free one` : '';
      reject(new CommandError(EXIT.failed, `${host}:${port}: ${cause.message}${hint}`, { cause }));
    });
    server.listen(port, host, resolve);
  });
  const { port: taken } = server.address() as AddressInfo;
  const name = ['0.0.0.0', '::'].includes(host) ? 'localhost' : host;
  return `http://${name.includes(':') ? `[${name}]` : name}:${taken}`;
}

import { type ChildProcess, spawn } from 'node:child_process';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Millrace, millrace } from '../cli/support/spawn-millrace.js';
import { missingPackage, succeeds } from '../support/debian-package.js';
import { eventually, untilAsserted } from '../support/eventually.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const ops = (file: string) => join(root, 'ops', file);
const folder = mkdtempSync(join(tmpdir(), 'millrace-prometheus-'));
const children: ChildProcess[] = [];
afterAll(() => {
  for (const child of children) child.kill('SIGKILL');
  rmSync(folder, { recursive: true, maxRetries: 10 });
});

let missing: string | undefined;
beforeAll(async () => {
  missing = await missingPackage('prometheus', () => succeeds('prometheus', '--version'));
});

/** A worker on a folder, whose process has had every kind of success and failure. */
async function worker(): Promise<string> {
  const env = { MILLRACE_URL: `local:${join(folder, 'queues')}` };
  const handler = fileURLToPath(new URL('programs/every-metric.mjs', import.meta.url));
  const running = new Millrace(['work', handler, '-q', 'orders', '--http', '0'], { env });
  await running.said('Waiting for messages');
  expect((await millrace(['send', '-q', 'orders', 'x'], { env })).exitCode).toBe(0);
  return /http:\/\/(127\.0\.0\.1:\d+)"/.exec(running.stderr)?.[1] ?? '';
}

/** A Prometheus with the alerts of ops/, which reads `target` each second. Resolves to its address. */
async function prometheus(target: string): Promise<string> {
  copyFileSync(ops('prometheus/millrace.rules.yml'), join(folder, 'millrace.rules.yml'));
  const config = {
    global: { scrape_interval: '1s', scrape_timeout: '1s', evaluation_interval: '1s' },
    rule_files: ['millrace.rules.yml'],
    scrape_configs: [{ job_name: 'millrace', static_configs: [{ targets: [target] }] }],
  };
  writeFileSync(join(folder, 'prometheus.yml'), JSON.stringify(config));
  const port = await freePort();
  const args = ['--config.file=prometheus.yml', '--storage.tsdb.path=data'];
  const child = spawn('prometheus', [...args, `--web.listen-address=127.0.0.1:${port}`], {
    cwd: folder,
    stdio: 'ignore',
  });
  children.push(child);
  const url = `http://127.0.0.1:${port}`;
  await eventually(async () => (await fetch(`${url}/-/ready`).catch(() => undefined))?.ok === true);
  return url;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

interface Rule {
  readonly name: string;
  readonly query: string;
  readonly state: string;
  readonly health: string;
}

/** The queries of the dashboard, for all queues. */
function panelQueries(): string[] {
  const { panels } = JSON.parse(readFileSync(ops('grafana/millrace.json'), 'utf8')) as {
    readonly panels: readonly { readonly targets?: readonly { readonly expr: string }[] }[];
  };
  const queries = panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));
  return queries.map((expr) => expr.replaceAll('$__rate_interval', '10s').replaceAll('$queue', '.*'));
}

test('a Prometheus that reads a worker has series for every query of the dashboard and of the alerts', async ({
  skip,
}) => {
  skip(missing !== undefined, missing);
  const url = await prometheus(await worker());
  const get = async <T>(path: string): Promise<T> => {
    const { status, data } = (await (await fetch(`${url}/api/v1/${path}`)).json()) as {
      readonly status: string;
      readonly data: T;
    };
    expect(status).toBe('success');
    return data;
  };
  const isEmpty = async (query: string) =>
    (await get<{ result: unknown[] }>(`query?query=${encodeURIComponent(query)}`)).result.length === 0;
  const rules = async () =>
    (await get<{ groups: readonly { readonly rules: readonly Rule[] }[] }>('rules')).groups.flatMap(
      (group) => group.rules,
    );

  // `bool`: a threshold that is not reached is a 0, and no missing series.
  const alertQueries = (await rules()).map(({ query }) => query.replaceAll(/(>|==) (?=\d)/g, '$1 bool '));
  expect(alertQueries.length).toBeGreaterThan(8);
  const queries = [...panelQueries(), ...alertQueries];
  await untilAsserted(async () => {
    const empty: string[] = [];
    for (const query of queries) if (await isEmpty(query)) empty.push(query);
    expect(empty).toEqual([]);
  });

  // These are alerts at once; the others wait for minutes.
  await untilAsserted(async () => {
    const all = await rules();
    expect(all.filter(({ health }) => health !== 'ok')).toEqual([]);
    const firing = all.filter(({ state }) => state === 'firing').map(({ name }) => name);
    expect(firing).toEqual(['MillraceDeadLetters', 'MillraceUnsettled', 'MillraceSendsLost']);
  });
});

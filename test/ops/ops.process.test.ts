import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { missingPackage, succeeds } from '../support/debian-package.js';

const execute = promisify(execFile);
const root = fileURLToPath(new URL('../../', import.meta.url));
const ops = (file: string) => join(root, 'ops', file);
const read = (file: string) => readFileSync(ops(file), 'utf8');
const folder = mkdtempSync(join(tmpdir(), 'millrace-ops-'));
afterAll(() => rmSync(folder, { recursive: true }));

let missing: string | undefined;
beforeAll(async () => {
  missing = await missingPackage('prometheus', () => succeeds('promtool', '--version'));
});

/** What promtool prints, and whether it is content. */
function promtool(...args: string[]) {
  return execute('promtool', args, { cwd: folder }).then(
    ({ stdout }) => ({ ok: true, text: stdout }),
    ({ stdout, stderr }: { stdout: string; stderr: string }) => ({ ok: false, text: stdout + stderr }),
  );
}

test('the alerts fire on their conditions, and only then', async ({ skip }) => {
  skip(missing !== undefined, missing);
  expect(await promtool('test', 'rules', ops('prometheus/millrace.rules.test.yml'))).toMatchObject({
    ok: true,
  });
  // Or the tests would accept anything.
  const rules = read('prometheus/millrace.rules.yml');
  writeFileSync(join(folder, 'millrace.rules.yml'), rules.replace('> 0.2', '> 0.9'));
  writeFileSync(join(folder, 'rules.test.yml'), read('prometheus/millrace.rules.test.yml'));
  const broken = await promtool('test', 'rules', 'rules.test.yml');
  expect(broken).toMatchObject({ ok: false, text: expect.stringContaining('MillraceManyRetries') });
});

test('each alert has a test, and says what to do', () => {
  const rules = read('prometheus/millrace.rules.yml');
  const tests = read('prometheus/millrace.rules.test.yml');
  const alerts = [...rules.matchAll(/- alert: (\w+)/g)].map(([, name]) => name as string);
  expect(alerts.length).toBeGreaterThan(8);
  for (const alert of alerts) expect(tests).toContain(`alertname: ${alert}`);
  expect(rules.match(/description:/g)).toHaveLength(alerts.length);
});

test('the configuration of Prometheus is valid', async ({ skip }) => {
  skip(missing !== undefined, missing);
  expect(await promtool('check', 'config', ops('prometheus/prometheus.yml'))).toMatchObject({ ok: true });
});

interface Panel {
  readonly id: number;
  readonly title: string;
  readonly type: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets?: readonly { readonly expr: string; readonly legendFormat: string }[];
}

test('the dashboard is what its script writes, and its queries are valid', async ({ skip }) => {
  const written = join(folder, 'millrace.json');
  await execute(process.execPath, [ops('grafana/build-dashboard.mjs'), written]);
  expect(readFileSync(written, 'utf8')).toBe(read('grafana/millrace.json'));
  const { panels } = JSON.parse(read('grafana/millrace.json')) as { panels: readonly Panel[] };
  const targets = panels.flatMap((panel) => panel.targets ?? []);
  expect(targets.length).toBeGreaterThan(20);
  skip(missing !== undefined, missing);
  const rules = targets.map(({ expr }, index) => ({
    record: `panel:${index}`,
    expr: expr.replaceAll('$__rate_interval', '1m'),
  }));
  writeFileSync(join(folder, 'panels.yml'), JSON.stringify({ groups: [{ name: 'panels', rules }] }));
  expect(await promtool('check', 'rules', 'panels.yml')).toMatchObject({ ok: true });
});

test('the panels of the dashboard have ids of their own and do not overlap, and legends name labels that are kept', () => {
  const { panels } = JSON.parse(read('grafana/millrace.json')) as { panels: readonly Panel[] };
  expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
  const cells = panels.flatMap(({ gridPos: { x, y, w, h } }) => {
    expect(x + w).toBeLessThanOrEqual(24);
    return Array.from({ length: w * h }, (_, cell) => `${x + (cell % w)} ${y + Math.floor(cell / w)}`);
  });
  expect(new Set(cells).size).toBe(cells.length);
  for (const { expr, legendFormat } of panels.flatMap(({ targets = [] }) => targets)) {
    const kept = / by \(([^)]*)\)/.exec(expr)?.[1]?.split(', ');
    const named = [...legendFormat.matchAll(/{{(\w+)}}/g)].map(([, label]) => label as string);
    expect(named, expr).not.toEqual([]);
    if (kept !== undefined) expect(kept).toEqual(expect.arrayContaining(named));
  }
});

test('what the dashboard and the alerts ask for are metrics that there are', () => {
  const source = ['message-metrics', 'state-metrics', 'process-metrics']
    .map((file) => readFileSync(join(root, 'src/metrics', `${file}.ts`), 'utf8'))
    .join();
  const asked = read('grafana/millrace.json') + read('prometheus/millrace.rules.yml');
  const names = new Set(asked.match(/\b(millrace|messaging|process|nodejs)_[a-z0-9_]+/g));
  for (const label of ['messaging_destination_name']) names.delete(label);
  expect(names.size).toBeGreaterThan(15);
  for (const name of names) expect(source).toContain(`'${name.replace(/_(bucket|count|sum)$/, '')}'`);
});

test('the compose file starts Prometheus and Grafana with these files, for this machine only', async () => {
  const compose = readFileSync(join(root, 'docker-compose.yml'), 'utf8');
  const mounted = [...compose.matchAll(/^ +- \.\/(\S+?):/gm)].map(([, path]) => path as string);
  expect(mounted).toHaveLength(3);
  for (const path of mounted) expect(await succeeds('test', '-e', join(root, path))).toBe(true);
  const ports = [...compose.matchAll(/^ +- (\S+):\d+$/gm)].map(([, port]) => port);
  expect(ports).toHaveLength(4);
  for (const port of ports) expect(port).toMatch(/^127\.0\.0\.1:/);
  expect(compose.match(/profiles: \[observe\]/g)).toHaveLength(2);
});

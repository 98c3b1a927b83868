import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { millrace } from './spawn-millrace.js';

const folder = mkdtempSync(join(tmpdir(), 'millrace-usage-'));
afterAll(() => rmSync(folder, { recursive: true }));

test('without arguments it prints help with examples', async () => {
  const { exitCode, stdout, stderr } = await millrace([]);
  expect(exitCode).toBe(0);
  expect(stdout).toContain('Usage: millrace');
  expect(stdout).toContain("$ millrace send 'Hello World!'");
  expect(stderr).toBe('');
});

test('--version is that of the package', async () => {
  const file = await readFile(new URL('../../package.json', import.meta.url), 'utf8');
  const { exitCode, stdout } = await millrace(['--version']);
  expect({ exitCode, version: stdout.trim() }).toEqual({
    exitCode: 0,
    version: (JSON.parse(file) as { version: string }).version,
  });
});

test.each(['send', 'work', 'demo'])('%s --help says which options there are', async (command) => {
  const { exitCode, stdout } = await millrace([command, '--help']);
  expect(exitCode).toBe(0);
  expect(stdout).toContain('--url');
  expect(stdout).toContain('Address:');
});

test('a misspelt command gets a suggestion', async () => {
  const { exitCode, stderr } = await millrace(['sned', 'x']);
  expect(exitCode).toBe(2);
  expect(stderr).toContain("unknown command 'sned'");
  expect(stderr).toContain('send');
});

test('a misspelt option gets a suggestion', async () => {
  const { exitCode, stderr } = await millrace(['send', '--queu', 'x', 'y']);
  expect(exitCode).toBe(2);
  expect(stderr).toContain('Did you mean --queue?');
});

test.each([
  ['a duration', ['send', 'x', '--timeout', '5 parsecs'], '5 parsecs'],
  ['a number', ['work', '--count', '0'], '0'],
  ['a header', ['send', 'x', '-H', 'nocolon'], 'nocolon'],
  ['a priority', ['send', 'x', '--priority', '32'], '32'],
  ['a list of delays', ['work', '--retry', '1s,soon'], '1s,soon'],
  ['a queue name', ['send', 'x', '-q', 'amq.mine', '-u', 'amqp://127.0.0.1:1'], 'amq.mine'],
  ['an address', ['send', 'x', '-u', 'http://example.org'], 'http://example.org'],
  ['an argument too many', ['work', 'a.js', 'b.js'], 'too many arguments'],
])('%s that is wrong is a usage error that quotes it', async (_what, args, quoted) => {
  const { exitCode, stdout, stderr } = await millrace(args);
  expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
  expect(stderr).toContain(quoted);
});

test.each([
  ['words and a file', ['send', 'x', '--file', 'y']],
  ['words and --lines', ['send', 'x', '--lines']],
  ['--lines and --id', ['send', '-l', '--id', 'y', '-f', '-']],
  ['a handler module and --exec', ['work', 'x.js', '--exec', 'true']],
  ['two addresses', ['work', '--url', 'amqp://h', '--url-file', 'f']],
])('%s do not go together', async (_what, args) => {
  const { exitCode, stderr } = await millrace(args);
  expect(exitCode).toBe(2);
  expect(stderr).toMatch(/^millrace: .+\n$/);
});

test('with no message and nothing piped in, send says how to give one', async () => {
  const { exitCode, stderr } = await millrace(['send']);
  expect(exitCode).toBe(2);
  expect(stderr).toContain('nothing to send');
});

test('a file that is not there is a usage error that names it', async () => {
  const { exitCode, stderr } = await millrace(['send', '-f', join(folder, 'missing')]);
  expect(exitCode).toBe(2);
  expect(stderr).toContain('missing');
});

test.each(['send', 'work'])(
  '%s refuses the queue in memory, which would be lost with the process',
  async (name) => {
    const byFlag = await millrace([name, '-u', 'local:'], { input: 'x' });
    expect(byFlag.exitCode).toBe(2);
    expect(byFlag.stderr).toMatch(/^millrace: --url .*lost.*\n$/);
    const byEnvironment = await millrace([name], { input: 'x', env: { MILLRACE_URL: 'local:' } });
    expect(byEnvironment.exitCode).toBe(78);
    expect(byEnvironment.stderr).toContain('MILLRACE_URL');
  },
);

test('a wrong address in the environment is an error of configuration that names the variable', async () => {
  const { exitCode, stderr } = await millrace(['send', 'x'], { env: { RABBITMQ_URL: 'http://a:secret@h' } });
  expect(exitCode).toBe(78);
  expect(stderr).toContain('RABBITMQ_URL');
  expect(stderr).not.toContain('secret');
});

test('a file for the address that is not there is an error of configuration', async () => {
  const { exitCode, stderr } = await millrace(['work'], { env: { MILLRACE_URL_FILE: join(folder, 'none') } });
  expect(exitCode).toBe(78);
  expect(stderr).toContain('MILLRACE_URL_FILE');
});

test('a password that strays into a usage error is masked', async () => {
  const { exitCode, stderr } = await millrace(['amqp://user:secret@host']);
  expect(exitCode).toBe(2);
  expect(stderr).toContain('amqp://user:***@host');
  expect(stderr).not.toContain('secret');
});

test('a handler module that is not there is a usage error', async () => {
  const { exitCode, stderr } = await millrace(['work', join(folder, 'none.js')]);
  expect(exitCode).toBe(2);
  expect(stderr).toContain('none.js');
});

test('a handler module without a default export is an error of configuration that says what to write', async () => {
  const path = join(folder, 'named.mjs');
  writeFileSync(path, 'export const handler = () => {};\n');
  const { exitCode, stderr } = await millrace(['work', path]);
  expect(exitCode).toBe(78);
  expect(stderr).toContain('export default');
});

test('a handler module that throws is an error of configuration with its reason', async () => {
  const path = join(folder, 'throws.mjs');
  writeFileSync(path, "throw new Error('no licence');\n");
  const { exitCode, stderr } = await millrace(['work', path]);
  expect(exitCode).toBe(78);
  expect(stderr).toContain('no licence');
  expect(stderr).not.toContain('    at ');
});

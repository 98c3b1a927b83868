import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { millrace } from './support/spawn-millrace.js';

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

test.each(['send', 'work', 'demo'])('%s --help lists the options', async (command) => {
  const { exitCode, stdout } = await millrace([command, '--help']);
  expect(exitCode).toBe(0);
  expect(stdout).toContain('--url');
  expect(stdout).toContain('Address:');
});

test.each([
  [['help', 'dlq', 'list'], 'Usage: millrace dlq list '],
  [['dlq', 'help', 'list'], 'Usage: millrace dlq list '],
  [['help', 'dlq'], 'Usage: millrace dlq '],
  [['dlq', 'list', '--help'], 'Usage: millrace dlq list '],
  [['help', 'send'], 'Usage: millrace send '],
  [['help'], 'Usage: millrace '],
])('%j is help on that command', async (args, usage) => {
  const { exitCode, stdout } = await millrace(args);
  expect(exitCode).toBe(0);
  expect(stdout.slice(0, usage.length)).toBe(usage);
});

test.each([[], ['send'], ['work'], ['publish'], ['tail'], ['topology'], ['dlq'], ['doctor'], ['backup']])(
  'the examples of %j fit into 80 columns, one per line',
  async (...command: string[]) => {
    const { stdout } = await millrace([...command, '--help']);
    const examples = /^Examples:\n(?:.+\n)+/m.exec(stdout)?.[0].trimEnd().split('\n').slice(1) ?? [];
    expect(examples.length).toBeGreaterThan(1);
    for (const example of examples) expect(example).toMatch(/^ {2}\$ .{1,76}$/);
  },
);

test('a wrong option names the whole command to ask for help', async () => {
  const { exitCode, stderr } = await millrace(['dlq', 'list', '--nope']);
  expect(exitCode).toBe(2);
  expect(stderr).toContain("run 'millrace dlq list --help'");
});

test.each([
  ['send', '--timeout', '5', 'such as 5s or'],
  ['send', '--connect-timeout', '1500', 'or 1500ms'],
  ['work', '--shutdown-timeout', '30', 'such as 30s or'],
  ['work', '--handler-timeout', '5', 'such as 5s or'],
  ['work', '--retry', '1s,10', 'such as 10s or'],
  ['demo', '--handle', '10', 'or 10ms'],
  ['bench', '--interval', '1', 'such as 1s or'],
])('%s %s %s is refused: a duration needs a unit', async (command, option, value, suggestion) => {
  const { exitCode, stdout, stderr } = await millrace([command, option, value]);
  expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
  expect(stderr).toContain(suggestion);
});

test.each(['', 'relative/home'])(
  'a HOME of %j is a configuration error, and creates no queue in the working directory',
  async (HOME) => {
    const cwd = mkdtempSync(join(folder, 'cwd-'));
    const { exitCode, stderr } = await millrace(['send', 'x'], { env: { HOME, XDG_STATE_HOME: '' }, cwd });
    expect(exitCode).toBe(78);
    expect(stderr).toContain('HOME');
    expect(readdirSync(cwd)).toEqual([]);
  },
);

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

test.skipIf(Number(process.versions.node.split('.')[0]) >= 22)(
  'a handler module in TypeScript says which Node.js runs it (needs a Node.js before 22)',
  async () => {
    const path = join(folder, 'handler.ts');
    writeFileSync(path, 'export default (value: string) => console.log(value);\n');
    const { exitCode, stderr } = await millrace(['work', path]);
    expect(exitCode).toBe(78);
    expect(stderr).toContain('22.18');
  },
);

test('a handler module that throws is an error of configuration with its reason', async () => {
  const path = join(folder, 'throws.mjs');
  writeFileSync(path, "throw new Error('no licence');\n");
  const { exitCode, stderr } = await millrace(['work', path]);
  expect(exitCode).toBe(78);
  expect(stderr).toContain('no licence');
  expect(stderr).not.toContain('    at ');
});

/** What `tsc` makes of `export default` for CommonJS. */
function compiled(name: string, source: string): string {
  const path = join(folder, name);
  const mark = "Object.defineProperty(exports, '__esModule', { value: true });";
  writeFileSync(path, `"use strict";\n${mark}\n${source}\n`);
  return path;
}

test('a handler module that was compiled to CommonJS is understood', async () => {
  const url = `local:${join(folder, 'compiled')}`;
  const handler = compiled('handler.cjs', 'exports.default = (value) => console.log("got", value);');
  await millrace(['send', 'x', '-u', url]);
  const { exitCode, stdout } = await millrace(['work', handler, '--count', '1', '-u', url]);
  expect({ exitCode, stdout }).toEqual({ exitCode: 0, stdout: 'got x\n' });
});

test('a schema module that was compiled to CommonJS is understood', async () => {
  const schema = compiled(
    'schema.cjs',
    `exports.default = { '~standard': { version: 1, vendor: 'test', validate: () => ({ issues: [{ message: 'no' }] }) } };`,
  );
  const url = `local:${join(folder, 'compiled-schema')}`;
  await millrace(['send', 'x', '--content-type', 'application/json', '-u', url]);
  await millrace(['work', '--drain', '--retry', 'none', '--exec', 'exit 1', '-u', url]);
  const { exitCode, stderr } = await millrace(['dlq', 'replay', '--schema', schema, '-u', url]);
  expect(exitCode).toBe(65);
  expect(stderr).toContain('stays');
});

test.each([
  [['help', 'sned'], "unknown command 'sned'", 'Did you mean send?'],
  [['list', '--help'], "unknown command 'list'", ''],
  [['help', 'dlq', 'lsit'], "unknown command 'lsit'", 'Did you mean list?'],
])('the help of a command that does not exist is an error (%j)', async (args, error, hint) => {
  const { exitCode, stdout, stderr } = await millrace(args);
  expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
  expect(stderr).toContain(error);
  expect(stderr).toContain(hint);
});

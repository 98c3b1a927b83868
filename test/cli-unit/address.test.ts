import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { chooseAddress, isGivenByFlag } from '../../src/cli/address.js';
import { CommandError } from '../../src/cli/exit-code.js';

const folder = mkdtempSync(join(tmpdir(), 'millrace-address-'));
afterAll(() => rmSync(folder, { recursive: true }));

function file(name: string, content: string): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

function choose(flags: Parameters<typeof chooseAddress>[0], environment: Record<string, string> = {}) {
  return chooseAddress(flags, environment, 'amqp://localhost');
}

const ALL = {
  MILLRACE_URL: 'amqp://millrace',
  AMQP_URL: 'amqp://amqp',
  RABBITMQ_URL: 'amqp://rabbitmq',
  CLOUDAMQP_URL: 'amqp://cloudamqp',
};

test('the flag wins over the environment', () => {
  expect(choose({ url: 'amqp://flag' }, ALL)).toEqual({ address: 'amqp://flag', source: '--url' });
});

test('a file named by the flag wins over the environment, and its address is trimmed', () => {
  const urlFile = file('flag', '  amqp://from-file\n');
  expect(choose({ urlFile }, ALL)).toEqual({ address: 'amqp://from-file', source: '--url-file' });
});

test('the variables win in their order', () => {
  const names = Object.keys(ALL) as (keyof typeof ALL)[];
  const environment: Record<string, string> = { ...ALL };
  for (const name of names) {
    expect(choose({}, environment)).toEqual({ address: ALL[name], source: name });
    delete environment[name];
  }
  expect(choose({}, environment)).toEqual({ address: 'amqp://localhost', source: 'the default' });
});

test('a variable that is set to nothing counts as not set', () => {
  expect(choose({}, { MILLRACE_URL: '', AMQP_URL: 'amqp://amqp' }).source).toBe('AMQP_URL');
});

test.each(Object.keys(ALL))('%s_FILE names a file with the address', (name) => {
  const path = file(name, 'amqp://user:secret@host\n');
  expect(choose({}, { [`${name}_FILE`]: path })).toEqual({
    address: 'amqp://user:secret@host',
    source: `${name}_FILE`,
  });
});

test('a variable wins over its own file, and its file over the next variable', () => {
  const path = file('both', 'amqp://from-file');
  expect(choose({}, { MILLRACE_URL: 'amqp://plain', MILLRACE_URL_FILE: path }).address).toBe('amqp://plain');
  expect(choose({}, { MILLRACE_URL_FILE: path, AMQP_URL: 'amqp://amqp' }).address).toBe('amqp://from-file');
});

test('two flags that say where the broker is are a usage error', () => {
  expect(() => choose({ url: 'amqp://a', urlFile: 'b' })).toThrow(
    expect.objectContaining({ exitCode: 2, message: expect.stringContaining('--url-file') }),
  );
});

test('a file that is missing or empty is an error of configuration that names it', () => {
  const missing = join(folder, 'missing');
  expect(() => choose({}, { AMQP_URL_FILE: missing })).toThrow(CommandError);
  expect(() => choose({}, { AMQP_URL_FILE: missing })).toThrow(
    expect.objectContaining({ exitCode: 78, message: expect.stringContaining(missing) }),
  );
  expect(() => choose({ urlFile: file('empty', ' \n') })).toThrow(expect.objectContaining({ exitCode: 78 }));
});

test('what was given by a flag is told from what was found', () => {
  expect(isGivenByFlag(choose({ url: 'x' }))).toBe(true);
  expect(isGivenByFlag(choose({}, ALL))).toBe(false);
  expect(isGivenByFlag(choose({}))).toBe(false);
});

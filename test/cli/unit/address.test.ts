import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import {
  badAddressExitCode,
  chooseAddress,
  embeddedAddress,
  maskPasswords,
} from '../../../src/cli/address.js';
import { CommandError } from '../../../src/cli/exit-code.js';

const folder = mkdtempSync(join(tmpdir(), 'millrace-address-'));
afterAll(() => rmSync(folder, { recursive: true }));

function file(name: string, content: string): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

function choose(flags: Parameters<typeof chooseAddress>[0], environment: Record<string, string> = {}) {
  return chooseAddress(flags, environment, () => 'amqp://localhost');
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

test('a bad address is a usage error if a flag gave it, else one of configuration', () => {
  expect(badAddressExitCode(choose({ url: 'x' }))).toBe(2);
  expect(badAddressExitCode(choose({}, ALL))).toBe(78);
  expect(badAddressExitCode(choose({}))).toBe(78);
});

test('the default is a folder below the state folder, else below the home', () => {
  expect(embeddedAddress({ XDG_STATE_HOME: '/state', HOME: '/home/me' })).toBe('local:/state/millrace');
  expect(embeddedAddress({ XDG_STATE_HOME: 'state', HOME: '/home/me' })).toBe(
    'local:/home/me/.local/state/millrace',
  );
});

test.each(['', 'home/me', '.'])(
  'a home of %j is refused, rather than a queue in the working directory',
  (HOME) => {
    expect(() => embeddedAddress({ HOME })).toThrow(
      expect.objectContaining({ exitCode: 78, message: expect.stringContaining('HOME') }),
    );
    expect(chooseAddress({ url: 'local:./x' }, { HOME }).address).toBe('local:./x');
  },
);

test.each([
  ['amqp://user:secret@host', 'amqp://user:***@host'],
  ["unknown command 'amqps://user:secret@host/vhost'", "unknown command 'amqps://user:***@host/vhost'"],
  ['amqp://a:secret@h1,amqp://b:secret@h2', 'amqp://a:***@h1,amqp://b:***@h2'],
  ['amqp://user:se/c@ret@host', 'amqp://user:***@host'],
  ['amqp://:secret@host', 'amqp://:***@host'],
  ['amqp://user@host', 'amqp://user@host'],
  ['amqp://host:5672/vhost', 'amqp://host:5672/vhost'],
])('%s is shown as %s', (text, shown) => {
  expect(maskPasswords(text)).toBe(shown);
});

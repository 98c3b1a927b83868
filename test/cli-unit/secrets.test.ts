import { expect, test } from 'vitest';
import { maskPasswords } from '../../src/cli/secrets.js';

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

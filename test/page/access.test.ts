import type { IncomingMessage } from 'node:http';
import { expect, test } from 'vitest';
import { Access } from '../../src/page/http/access.js';

test('an IPv6 address that it listens at is a host name', () => {
  const access = new Access(undefined, ['FD00::7', 'ops.example']);
  const refused = (host: string) =>
    access.refusal({ method: 'GET', headers: { host } } as unknown as IncomingMessage)?.status;
  expect(refused('[fd00::7]:7070')).toBeUndefined();
  expect(refused('ops.example:7070')).toBeUndefined();
  expect(refused('[::1]:7070')).toBeUndefined();
  expect(refused('[fd00::8]:7070')).toBe(421);
});

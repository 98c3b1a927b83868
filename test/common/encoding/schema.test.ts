import type { StandardSchemaV1 } from '@standard-schema/spec';
import { expect, test, vi } from 'vitest';
import { z } from 'zod';
import { validatorOf } from '../../../src/common/encoding/schema.js';

const schemaOf = (validate: (value: unknown) => unknown): StandardSchemaV1 =>
  ({ '~standard': { version: 1, vendor: 'test', validate } }) as StandardSchemaV1;

// biome-ignore lint/suspicious/noThenProperty: promises of other libraries are what is tried
const then = (answer: unknown) => ({ then: (resolve: (value: unknown) => void) => resolve(answer) });
const callableThen = (answer: unknown) => Object.assign(() => {}, then(answer));

test('an answer is waited for whatever kind of promise it comes in', async () => {
  for (const wrap of [then, callableThen, (answer: unknown) => Promise.resolve(answer)]) {
    const refusing = validatorOf(schemaOf(() => wrap({ issues: [{ message: 'no' }] })));
    expect(await refusing(1)).toEqual({ type: 'invalid', issues: [{ message: 'no' }] });
    const accepting = validatorOf(schemaOf(() => wrap({ value: 2 })));
    expect(await accepting(1)).toEqual({ type: 'valid', value: 2 });
  }
});

test('an answer that says nothing is no answer', async () => {
  for (const answer of [undefined, null, {}, { issues: undefined }, 'yes', then({})]) {
    expect(await validatorOf(schemaOf(() => answer))(1)).toMatchObject({ type: 'threw' });
  }
  expect(validatorOf(schemaOf(() => ({ value: undefined })))(1)).toEqual({ type: 'valid', value: undefined });
});

test('a rejecting asynchronous zod refinement is reported, and causes no unhandled rejection', async () => {
  const unhandled = vi.fn();
  process.on('unhandledRejection', unhandled);
  try {
    const down = new Error('ECONNREFUSED');
    const fails = async (): Promise<boolean> => {
      throw down;
    };
    const schemas = [
      z.string().refine(fails),
      z.object({ id: z.string().refine(fails) }),
      z.array(z.union([z.number(), z.string().transform(fails)])),
      z.lazy(() => z.string().refine(fails)),
      z.record(
        z.string(),
        z.string().check(async () => void (await fails())),
      ),
      z.string().pipe(z.preprocess(fails, z.string())),
    ];
    const values = ['x', { id: 'x' }, ['x'], 'x', { a: 'x' }, 'x'];
    for (const [index, schema] of schemas.entries()) {
      expect(await validatorOf(schema)(values[index])).toEqual({ type: 'threw', error: down });
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
    expect(unhandled).not.toHaveBeenCalled();
  } finally {
    process.off('unhandledRejection', unhandled);
  }
});

test('zod is waited for only if there is something to wait for', async () => {
  const plain = validatorOf(z.object({ at: z.coerce.date(), tags: z.array(z.string().trim().min(1)) }));
  expect(plain({ at: 0, tags: ['a '] })).toEqual({ type: 'valid', value: { at: new Date(0), tags: ['a'] } });
  expect(plain({ at: 0, tags: [''] })).toMatchObject({ type: 'invalid', issues: [{ path: ['tags', 0] }] });

  const refined = validatorOf(z.string().refine((text) => text !== 'bad', 'is bad'));
  expect(refined('good')).toEqual({ type: 'valid', value: 'good' });
  expect(refined('bad')).toMatchObject({ type: 'invalid', issues: [{ message: 'is bad' }] });

  const waiting = validatorOf(z.string().refine(async (text) => text !== 'bad', 'is bad'));
  expect(await waiting('good')).toEqual({ type: 'valid', value: 'good' });
  expect(await waiting('bad')).toMatchObject({ type: 'invalid', issues: [{ message: 'is bad' }] });
  expect(waiting(5)).toMatchObject({ type: 'invalid' });
});

test('a default of the schema is not made while the schema is looked at', () => {
  const make = vi.fn(() => 'made');
  const validate = validatorOf(z.object({ id: z.string().default(make) }));
  expect(make).not.toHaveBeenCalled();
  expect(validate({})).toEqual({ type: 'valid', value: { id: 'made' } });
});

test('recursive schemas are visited once', () => {
  const category = z.object({
    name: z.string(),
    get children() {
      return z.array(category);
    },
  });
  expect(validatorOf(category)({ name: 'a', children: [{ name: 'b', children: [] }] })).toMatchObject({
    type: 'valid',
  });
});

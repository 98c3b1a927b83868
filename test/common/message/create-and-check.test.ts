import { expect, it } from 'vitest';
import { newMessageId } from '../../../src/common/message/create-and-check.js';

it('a new message id is a random UUID, and another one each time', () => {
  const ids = Array.from({ length: 10_000 }, newMessageId);
  for (const id of ids)
    expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  expect(new Set(ids).size).toBe(ids.length);
  // Each digit that is not fixed takes each of its values: none is lost on the way from bytes to text.
  for (const position of [...Array(36).keys()].filter((each) => ![8, 13, 14, 18, 19, 23].includes(each))) {
    expect(new Set(ids.map((id) => id[position])).size).toBe(16);
  }
});

import { z } from 'zod';

/**
 * A message as an application has one. As JSON it has `size` bytes, when `id` has seven digits.
 *
 * @param {number} id
 * @param {number} [size]
 * @returns {import('zod').infer<typeof orderSchema>}
 */
export function orderOf(id, size = 100) {
  return { id, kind: 'order', text: filler(size) };
}

const FIRST_ID = 1_000_000;
const fillers = new Map();

function filler(size) {
  let text = fillers.get(size);
  if (text === undefined) {
    const frame = JSON.stringify({ id: FIRST_ID, kind: 'order', text: '' });
    text = 'x'.repeat(size - frame.length);
    fillers.set(size, text);
  }
  return text;
}

/**
 * @param {number} count
 * @param {number} [size]
 */
export function* orders(count, size) {
  for (let i = 0; i < count; i++) yield orderOf(FIRST_ID + i, size);
}

export const orderSchema = z.object({
  id: z.number().int(),
  kind: z.enum(['order', 'refund']),
  text: z.string(),
});

const bodies = new Map();

/** The same as bytes, made once: for clients that are given bytes. */
export function bodyOf(size) {
  let body = bodies.get(size);
  if (body === undefined) {
    body = Buffer.from(JSON.stringify(orderOf(FIRST_ID, size)));
    bodies.set(size, body);
  }
  return body;
}

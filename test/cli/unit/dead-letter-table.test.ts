import { expect, test } from 'vitest';
import { deadLetterTable } from '../../../src/cli/commands/dlq/dead-letter-view.js';
import type { DeadLetter } from '../../../src/dead-letters/dead-letter.js';

const letter = {
  id: '34dfa217-f2a6-4dbc-8d77-b73dcf32406e',
  deadAt: '2026-11-29T02:19:10.000Z',
  queue: 'orders',
  reason: 'failed',
  attempts: 4,
  error: 'the printer has no paper, and nobody is there',
  message: { headers: {}, body: '' },
} as unknown as DeadLetter;

test('what fits is shown', () => {
  expect(deadLetterTable([letter])).toEqual([
    'ID                                    DEAD SINCE            QUEUE   REASON  ATTEMPTS  ERROR',
    `${letter.id}  2026-11-29 02:19:10Z  orders  failed  4         ${letter.error}`,
  ]);
});

test('the error keeps its room on a narrow terminal: columns that say less give way', () => {
  expect(deadLetterTable([letter], 100)).toEqual([
    'ID                                    DEAD SINCE            REASON  ERROR',
    `${letter.id}  2026-11-29 02:19:10Z  failed  the printer has no paper, and n…`,
  ]);
  expect(deadLetterTable([letter], 80)).toEqual([
    'ID                                    REASON  ERROR',
    `${letter.id}  failed  the printer has no paper, and nob…`,
  ]);
});

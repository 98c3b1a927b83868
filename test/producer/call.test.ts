import { setImmediate as eventLoopTurn } from 'node:timers/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import { QueueError } from '../../src/errors.js';
import { Call } from '../../src/producer/call.js';
import { rejection } from '../support/rejection.js';

function newCall(): Call {
  const call = new Call('q', Number.POSITIVE_INFINITY, undefined);
  onTestFinished(() => call.end());
  return call;
}

/** A function around a request that takes its time for an error, and passes it on. */
async function slowly<T>(next: () => Promise<T>): Promise<T> {
  try {
    return await next();
  } catch (error) {
    for (let turn = 0; turn < 20; turn++) await eventLoopTurn();
    throw error;
  }
}

/** Ends as a publish does that was on its way when its signal was aborted. */
function endingWith(code: 'UNCONFIRMED' | 'ABORTED') {
  return (signal: AbortSignal) =>
    new Promise<never>((_, reject) => {
      signal.addEventListener('abort', () => reject(new QueueError(code, `message m-1: ${code}`)));
    });
}

describe('a request whose end is not passed on in time by a function around it', () => {
  test('ends with UNCONFIRMED if it was on its way when its limit ended', async () => {
    const call = newCall();
    const request = call.unlessOver(slowly(() => call.send(endingWith('UNCONFIRMED'))));
    call.stop('TIMEOUT', 'no reply within 10 ms');
    const error = await rejection(request, 'UNCONFIRMED');
    expect(error.message).toBe(
      "the request to 'q' may have been stored, and may already have been, or may yet be, handled: no reply within 10 ms",
    );
  });

  test('ends with UNCONFIRMED if its connection was lost before its limit ended', async () => {
    const call = newCall();
    const unconfirmed = () =>
      Promise.reject(new QueueError('UNCONFIRMED', 'message m-1: it may have arrived'));
    const request = call.unlessOver(slowly(() => call.send(unconfirmed)));
    await eventLoopTurn();
    call.stop('TIMEOUT', 'no reply within 10 ms');
    await rejection(request, 'UNCONFIRMED');
  });

  test('ends with the reason of its end if it was not stored', async () => {
    const call = newCall();
    const request = call.unlessOver(slowly(() => call.send(endingWith('ABORTED'))));
    call.stop('TIMEOUT', 'no reply within 10 ms');
    await rejection(request, 'TIMEOUT');
  });
});

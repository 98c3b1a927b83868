import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { PendingPublish } from '../../../src/rabbitmq/publish/pending-publish.js';
import { UnconfirmedPublishes } from '../../../src/rabbitmq/publish/unconfirmed-publishes.js';
import type { WireProperties } from '../../../src/rabbitmq/wire/amqp-message.js';

const nothing = () => {};
let position = 0;

interface Sent {
  readonly pending: PendingPublish;
  /** The code that its sender got; undefined: it still waits. */
  readonly code: () => string | undefined;
}

function sent(exchange = 'e', content = 'x'): Sent {
  let code: string | undefined;
  const wire = { exchange, routingKey: 'k', id: `m${position}`, content, options: {} as WireProperties };
  const pending = new PendingPublish(
    wire,
    position++,
    {},
    nothing,
    (error) => {
      code = error.code;
    },
    { onAborted: nothing, onSettled: nothing, onUnroutable: nothing },
  );
  return { pending, code: () => code };
}

function refusal(code: number, text: string): Error {
  return Object.assign(new Error(`Channel closed by server: ${code} (X) with message "${text}"`), { code });
}

const NO_EXCHANGE = refusal(404, "NOT_FOUND - no exchange 'e' in vhost '/'");
const NO_ACCESS = refusal(
  403,
  "ACCESS_REFUSED - write access to exchange 'e' in vhost '/' refused for user 'u'",
);
const NO_TOPIC = refusal(
  403,
  "ACCESS_REFUSED - write access to topic 'k' in exchange 'e' in vhost '/' refused for user 'u'",
);
const TOO_LARGE = refusal(406, 'PRECONDITION_FAILED - message size 5 is larger than configured max size 4');

const pendings = (all: readonly Sent[]) => all.map(({ pending }) => pending);
const codes = (all: readonly Sent[]) => all.map(({ code }) => code());
const uncertain = (all: readonly Sent[]) => all.map(({ pending }) => pending.uncertain);

describe('a channel that the broker closed over one of several messages', () => {
  it.each([NO_EXCHANGE, NO_ACCESS, NO_TOPIC])('refuses none that may be stored: %s', (error) => {
    const refusals = new UnconfirmedPublishes();
    const all = [sent(), sent(), sent()];
    refusals.attributeChannelError(pendings(all), error);
    const code = error === NO_EXCHANGE ? 'UNROUTABLE' : 'ACCESS_REFUSED';
    // Those before the last may be stored, since the exchange may have been there for them.
    expect(codes(all)).toEqual([undefined, undefined, code]);
    expect(uncertain(all)).toEqual([true, true, false]);
    expect(refusals.suspects.size).toBeGreaterThan(0);
    // Sent again and singly, the first shows how the second would fare.
    refusals.attributeChannelError(pendings(all.slice(0, 1)), error);
    expect(codes(all)).toEqual(['UNCONFIRMED', 'UNCONFIRMED', code]);
  });

  it('marks none after the last that it may be about: the broker did not read those', () => {
    const all = [sent(''), sent('e'), sent(''), sent('')];
    new UnconfirmedPublishes().attributeChannelError(pendings(all), NO_EXCHANGE);
    expect(codes(all)).toEqual([undefined, 'UNROUTABLE', undefined, undefined]);
    expect(uncertain(all)).toEqual([true, false, false, false]);
  });

  it('refuses messages of a size that no broker accepts', () => {
    const all = [sent('e', 'x'), sent('e', '12345'), sent('e', 'x'), sent('e', '12345')];
    new UnconfirmedPublishes().attributeChannelError(pendings(all), TOO_LARGE);
    expect(codes(all)).toEqual([undefined, 'TOO_LARGE', undefined, 'TOO_LARGE']);
  });

  it('is not taken for a refusal of a size because of the name of an exchange', () => {
    const name = 'message size 1 is larger than configured max size 0';
    const refusals = new UnconfirmedPublishes();
    const [misled, other] = [sent(name), sent('e')];
    refusals.attributeChannelError(
      [misled.pending],
      refusal(404, `NOT_FOUND - no exchange '${name}' in vhost '/'`),
    );
    expect(refusals.refuseIfTooLarge(other.pending)).toBe(false);
    expect(codes([misled, other])).toEqual(['UNROUTABLE', undefined]);
  });

  it('shows the limit of sizes: for a while, larger ones are refused without asking the broker', () => {
    vi.useFakeTimers({ toFake: ['performance'] });
    onTestFinished(() => void vi.useRealTimers());
    const refusals = new UnconfirmedPublishes();
    const [before, large, largest] = [sent('e', '12345'), sent('e', '12345'), sent('e', '1234')];
    expect(refusals.refuseIfTooLarge(before.pending)).toBe(false);
    refusals.attributeChannelError([before.pending], TOO_LARGE);
    expect(refusals.refuseIfTooLarge(large.pending)).toBe(true);
    expect(refusals.refuseIfTooLarge(largest.pending)).toBe(false);
    expect(codes([before, large, largest])).toEqual(['TOO_LARGE', 'TOO_LARGE', undefined]);
    // It may have been raised.
    vi.advanceTimersByTime(60_001);
    expect(refusals.refuseIfTooLarge(sent('e', '12345').pending)).toBe(false);
  });

  it('calls a message that was sent before over a lost link unconfirmed, even when it is the only one', () => {
    const [only] = [sent()];
    only.pending.uncertain = true;
    new UnconfirmedPublishes().attributeChannelError([only.pending], NO_EXCHANGE);
    expect(only.code()).toBe('UNCONFIRMED');
  });

  it('sends all singly where the text names none of them', () => {
    const refusals = new UnconfirmedPublishes();
    const all = [sent(), sent()];
    const odd = refusal(406, 'PRECONDITION_FAILED - invalid expiration');
    refusals.attributeChannelError(pendings(all), odd);
    expect(codes(all)).toEqual([undefined, undefined]);
    expect(refusals.suspects.size).toBeGreaterThan(0);
    for (const { pending } of all) refusals.suspects.delete(pending);
    expect(refusals.suspects.size).toBe(0);
  });
});

describe('a connection that ended', () => {
  const over = (code: number) => Object.assign(new Error('FRAME_ERROR'), { code });

  it('is not retried for ever for a message that the broker fails on', () => {
    const refusals = new UnconfirmedPublishes();
    const [guilty, other] = [sent(), sent()];
    refusals.attributeConnectionError(pendings([guilty, other]), over(501));
    expect(refusals.suspects.size).toBeGreaterThan(0);
    refusals.attributeConnectionError([guilty.pending], over(501));
    expect(guilty.code()).toBeUndefined();
    refusals.attributeConnectionError([guilty.pending], over(501));
    expect(codes([guilty, other])).toEqual(['UNCONFIRMED', undefined]);
  });

  it.each([over(320), new Error('read ECONNRESET')])('for other reasons suspects none: %s', (error) => {
    const refusals = new UnconfirmedPublishes();
    const all = [sent()];
    for (let times = 0; times < 10; times++) refusals.attributeConnectionError(pendings(all), error);
    expect(refusals.suspects.size).toBe(0);
    expect(codes(all)).toEqual([undefined]);
    expect(uncertain(all)).toEqual([true]);
  });
});

describe('a suspect whose sender has given up', () => {
  it('no longer holds up the others once its channel is lost', () => {
    const refusals = new UnconfirmedPublishes();
    const all = [sent(), sent(), sent()];
    refusals.toResend(pendings(all), NO_EXCHANGE, true);
    const [first] = all;
    if (first === undefined) throw new Error('there are three');
    expect(refusals.suspects.has(first.pending)).toBe(true);
    // It is sent again, and its time is over before the answer comes.
    first.pending.unconfirmed = true;
    first.pending.expire(undefined);
    refusals.toResend([first.pending], new Error('the link is lost'), false);
    expect(refusals.suspects.has(first.pending)).toBe(false);
  });
});

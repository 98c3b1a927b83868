import { z } from 'zod';
import { defineQueue, defineSchedule, defineTopic } from '../../../src/index.js';

const queue = defineQueue('q', z.object({ n: z.number() }));
const days = defineTopic('days', { ended: z.object({ day: z.string() }), other: z.number() });
const everyMs = 1000;

defineSchedule('a', { everyMs, send: [queue, { n: 1 }] });
defineSchedule('a', { everyMs, send: [queue, async ({ at }) => ({ n: at.getTime() }), { priority: 3 }] });
defineSchedule('a', { everyMs, publish: [days, 'ended', { day: 'x' }] });
defineSchedule('a', { everyMs, publish: [days, 'ended', ({ at }) => ({ day: at.toISOString() })] });
defineSchedule('a', { everyMs, publish: [days, 'other', async () => 1, { headers: { a: 'b' } }] });

// @ts-expect-error the value of another type
defineSchedule('a', { everyMs, send: [queue, { n: 'x' }] });
// @ts-expect-error a function of another type
defineSchedule('a', { everyMs, send: [queue, () => ({ n: 'x' })] });
// @ts-expect-error the value of another event
defineSchedule('a', { everyMs, publish: [days, 'other', { day: 'x' }] });
// @ts-expect-error no event of the topic
defineSchedule('a', { everyMs, publish: [days, 'nope', { day: 'x' }] });
// @ts-expect-error the type is the event
defineSchedule('a', { everyMs, publish: [days, 'other', 1, { type: 'x' }] });

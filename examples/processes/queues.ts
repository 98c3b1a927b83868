import { defineQueue } from 'millrace';
import { z } from 'zod';

export const queuesOf = (prefix: string) => ({
  jobs: defineQueue(`${prefix}.jobs`, z.object({ job: z.number() })),
  results: defineQueue(`${prefix}.results`, z.object({ job: z.number(), worker: z.string() })),
  /** Messages that slow down or speed up the producer. */
  control: defineQueue(`${prefix}.control`, z.object({ pauseMs: z.number().min(0) })),
});

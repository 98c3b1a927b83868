import { defineQueue } from 'millrace';
import { z } from 'zod';

export const queuesOf = (prefix: string) => ({
  jobs: defineQueue(`${prefix}.jobs`, z.object({ job: z.number() })),
  results: defineQueue(`${prefix}.results`, z.object({ job: z.number(), worker: z.string() })),
  /** By which somebody may tell the producer to go slower or faster. */
  control: defineQueue(`${prefix}.control`, z.object({ pauseMs: z.number().min(0) })),
});

import { setTimeout as delay } from 'node:timers/promises';
import { defineQueue } from 'millrace';
import { z } from 'zod';

export const tasksIn = (prefix: string) => defineQueue(`${prefix}.tasks`, z.number(), { deadLetter: false });

/** A task that waits for something: a database, a web page, another program. */
export async function wait(task: number): Promise<number> {
  await delay(200);
  return task;
}

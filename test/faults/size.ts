/** `npm run test:faults` runs the faults in full; within `npm test` they are as few as still strike everything once. */
export const isFull = process.env.FAULTS === 'full';

export function size(small: number, full: number): number {
  return isFull ? full : small;
}

import { z } from 'zod';

/** The page shows messages of any kind. */
export const anyValue = z.any();

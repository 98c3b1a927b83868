import { z } from 'zod';

export default z.object({ id: z.uuid(), why: z.enum(['late', 'broken']) });

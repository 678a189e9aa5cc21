// Names that stand inside other texts. Pure.

const ID = /(?:^|[^a-z2-7])([a-z2-7]{26})(?![a-z2-7])/;

/** The id of a job or a message, alone or in what holds it: an address, or the Message-ID of a mail. */
export const idIn = (text: string): string | undefined => ID.exec(text)?.[1];

/** The key and the tenant of a condition that a signal fulfils; `null` for one of the queue's own. */
export function signalOf(condition: string): { key: string; tenant: string | null } | null {
  const [, key] = /^wait (.+)$/s.exec(condition) ?? [];
  if (key) return { key, tenant: null };
  const [, tenant, ofTenant] = /^tenant ([^|]*)\|(.+)$/s.exec(condition) ?? [];
  return tenant && ofTenant ? { key: ofTenant, tenant } : null;
}

/** A condition for people: `delivered x, of tenant acme`. */
export function conditionInWords(condition: string): string {
  const signal = signalOf(condition);
  if (signal === null) return condition;
  return signal.tenant === null ? signal.key : `${signal.key}, of tenant ${signal.tenant}`;
}

// Makes a capability link for an end user.

import { api, ask } from "../api/client";
import type { MadeLink } from "../api/types";
import { me } from "../lib/session";
import { whole } from "../lib/time";
import { Dialog, Field, Form, close, show } from "../ui/dialog";
import { Copy } from "../ui/text";

export interface Target {
  subject?: string;
  job?: string;
  /** The tenant of the subject, where it is known. */
  tenant?: string | null;
}

export function LinkForm(target: Target) {
  const needsTenant = me.value !== null && (me.value.scope.tenants.includes("*") || me.value.scope.tenants.length !== 1);
  show(
    <Form
      title="A link for an end user"
      action="Make the link"
      right="share"
      run={async (fields) => {
        const subject = target.subject ?? (fields["subject"]?.trim() || undefined);
        const body = {
          ...(target.job ? { job: target.job } : { subject }),
          ...(fields["tenant"]?.trim() ? { tenant: fields["tenant"].trim() } : {}),
          ...(fields["lifetime"]?.trim() ? { lifetime: fields["lifetime"].trim() } : {}),
        };
        const made: MadeLink = await ask(api.POST("/v1/links", { body }));
        show(<Made link={made} />);
      }}
    >
      <p>
        Whoever has the link sees {target.job ? "this job" : target.subject ? <b>{target.subject}</b> : "the subject"}, its progress and its files,
        and nothing else, until the link expires.
      </p>
      {!target.job && !target.subject && <Field label="Subject" name="subject" required first placeholder="order-1042" />}
      {needsTenant && !target.job && <Field label="Tenant" name="tenant" value={target.tenant ?? ""} hint="Whose jobs about the subject the link shows." />}
      <Field label="Lifetime" name="lifetime" placeholder="7d" hint="Such as 12h or 30d; left empty: as api.links.lifetime says." />
    </Form>,
  );
}

function Made({ link }: { link: MadeLink }) {
  return (
    <Dialog title="The link">
      <p>It is shown only now. It works until {whole(Date.parse(link.expires_at))}.</p>
      <p class="secret">
        <code>{link.link}</code>
        <Copy text={link.link} what="the link" />
      </p>
      <p class="hint">
        To revoke it, use its id: <code>{link.id}</code>
      </p>
      <div class="row end">
        <button type="button" class="key" data-first onClick={close}>
          Done
        </button>
      </div>
    </Dialog>
  );
}

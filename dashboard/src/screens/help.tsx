import { LEADS, isHelpOpen } from "../lib/keys";
import { Dialog } from "../ui/dialog";

const KEYS: [string[], string][] = [
  [["/"], "Find an order, a job or an event (also Ctrl K)"],
  [["j"], "Next row of a list"],
  [["k"], "Row before"],
  [["Enter"], "Open the row"],
  [["x"], "Mark the row, to act on several"],
  [["p"], "Pause the lists, or let them go on"],
  [["?"], "This help"],
  [["Esc"], "Close a dialog"],
];

export function Help() {
  const close = () => (isHelpOpen.value = false);
  const rows = [...KEYS, ...LEADS.map(([key, , name]): [string[], string] => [["g", key], name])];
  return (
    <Dialog title="Keys" onClose={close}>
      <dl class="keys">
        {rows.map(([keys, what]) => (
          <div key={keys.join()}>
            <dt>
              {keys.map((key) => (
                <kbd key={key}>{key}</kbd>
              ))}
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
      <p class="hint">No key acts while you type in a field.</p>
      <div class="row end">
        <button type="button" class="key" data-first onClick={close}>
          Close
        </button>
      </div>
    </Dialog>
  );
}

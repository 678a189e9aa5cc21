"""The totals of orders, as Python's `decimal` computes them: the second opinion of a test.

Reads an order a line from standard input and writes what its invoice must show,
a line each: the lines' net amounts, the VAT by rate, and the three totals; or
the gross total alone where it is negative.
"""

import json
import sys
from decimal import ROUND_HALF_UP, Decimal, getcontext

getcontext().prec = 200

NO_DECIMALS = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF".split()
THREE_DECIMALS = "BHD IQD JOD KWD LYD OMR TND".split()
MARKS = {"EUR": "€", "GBP": "£", "JPY": "¥", "USD": "$"}


def totals(order):
    code = order["currency"]
    decimals = 0 if code in NO_DECIMALS else 3 if code in THREE_DECIMALS else 2
    unit = Decimal(1).scaleb(-decimals)
    mark = MARKS.get(code, code + "\u00a0")

    def rounded(amount):
        return amount.quantize(unit, rounding=ROUND_HALF_UP)

    def shown(amount, mark=""):
        sign = "\u2212" if amount < 0 else ""
        return f"{sign}{mark}{abs(amount):,.{decimals}f}"

    nets, groups = [], {}
    for line in order["lines"]:
        net = rounded(Decimal(line["quantity"]) * Decimal(line["unit_price"]))
        nets.append(net)
        rate = Decimal(line["vat_rate"])
        groups[rate] = groups.get(rate, 0) + net
    vat = [(rate, groups[rate], rounded(groups[rate] * rate / 100)) for rate in sorted(groups)]
    net_total = sum(nets)
    vat_total = sum(tax for _, _, tax in vat)
    gross = net_total + vat_total
    if gross < 0:
        return {"negative": shown(gross, mark)}
    return {
        "lines": [shown(net) for net in nets],
        "vat": [[f"{rate.normalize():f}%", shown(net, mark), shown(tax, mark)] for rate, net, tax in vat],
        "totals": [shown(net_total, mark), shown(vat_total, mark), shown(gross, mark)],
    }


for text in sys.stdin:
    order = json.loads(text, parse_float=Decimal, parse_int=Decimal)
    print(json.dumps(totals(order)))

"""Two nodes with one name."""

from campaign import fault, OK, WARN


@fault('Two nodes with one name', 'a second node of the same name and the same topics joins, and '
       'is ended')
def test_two_nodes_with_one_name(bench):
    bench.flow()
    bench.sent.repeats = True
    second = bench.second()
    try:
        told = bench.report(
            lambda report: report.level == WARN and '2 nodes are called' in report.text, feed=True)
        assert bench.name in told.text
        assert '__node:=' in told.text
        assert int(told.values['namesake']) >= 1
        bench.flow()
    finally:
        assert second.stop() == 0, second.log()
    bench.recover()
    bench.report(lambda report: report.level == OK, 'all well', feed=True)
    bench.saw('WARN by each: how many have the name, and what to do; all outputs are right, and '
              'come twice')

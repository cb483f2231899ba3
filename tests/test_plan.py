from tinygrad_ckn.plan import Rule, make_plan


def select(plan, residuals, needs_grad=()):
    return [rule and rule[1](("g", *residuals, needs_grad)) for rule in plan.rules]


def test_rules_get_what_they_name_in_their_own_order():
    rules = [Rule(None, ("y", "g")), Rule(None, ("axis", "a_shape", "b"))]
    plan = make_plan(rules, ["a", "b"], ["axis"], joint=False, count=None)
    assert (plan.operands, plan.shapes, plan.options, plan.output) == ([1], [0], ("axis",), True)
    assert select(plan, ["b", "shape", "axis", "y"]) == [("y", "g"), ("axis", "shape", "b")]


def test_one_name_and_no_name():
    rules = [Rule(None, ("g",)), Rule(None, ()), None]
    plan = make_plan(rules, ["a", "b", "c"], [], joint=False, count=None)
    assert select(plan, []) == [("g",), (), None]


def test_operands_of_a_variadic_primitive_are_one_tuple():
    rule = Rule(None, ("arrays", "arrays_shape", "needs_grad"))
    plan = make_plan([rule], ["arrays"], [], joint=True, count=2)
    assert select(plan, [1, 2, (3,), (4,)], (True, False)) == [
        ((1, 2), ((3,), (4,)), (True, False))
    ]
    only = make_plan([Rule(None, ("arrays",))], ["arrays"], [], joint=True, count=2)
    assert select(only, [1, 2]) == [((1, 2),)]


def test_what_the_rules_read():
    plan = make_plan([Rule(None, ("g", "saved"))], ["a"], [], joint=False, count=None)
    assert plan.reads is None
    plan = make_plan([Rule(None, ("g", "a"))], ["a"], [], joint=False, count=None)
    assert plan.reads == [0]

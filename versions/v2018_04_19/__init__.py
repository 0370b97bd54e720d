"""2018-04-19: first antibiotics within one hour, and a high first lactate is measured again.

The three-hour bundle becomes an hour-1 bundle, and a first lactate above 2.0 mmol/L is to be measured again, so that it is seen whether
the treatment works.

Source: Levy, Evans, Rhodes, The Surviving Sepsis Campaign Bundle: 2018 update, Intensive Care Medicine 44, online on 19 April 2018.
"""

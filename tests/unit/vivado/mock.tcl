# Vivado's commands, as far as the generated scripts use them: every call is checked for its name, options and arguments, files
# must exist, pins must fit, and a block design must be whole when it is validated. What would take Vivado hours (synthesis, runs)
# only leaves the files that the scripts go on with.
#
#   tclsh mock.tcl SCRIPT   with the environment MOCK_BOARDS: board parts that are installed, MOCK_REPORTS: folder of utilization.rpt
#   and path.txt to answer with, MOCK_LOG: file that all calls are appended to.

source [file join [file dirname [info script]] blocks.tcl]

namespace eval mock {
  variable project {} cells {} nets {} buses {} state {} core {} addressed 0 files {} tops {} runs {}
}

# Checks the arguments of a command: options with a value, flags, and from `least` to `most` others, which are returned as "rest".
proc mock::parse {command arguments valued flags least most} {
  set result [dict create rest {}]
  for {set i 0} {$i < [llength $arguments]} {incr i} {
    set item [lindex $arguments $i]
    if {$item in $flags} {
      dict set result $item 1
    } elseif {$item in $valued} {
      incr i
      if {$i >= [llength $arguments]} {
        error "$command: $item has no value"
      }
      dict set result $item [lindex $arguments $i]
    } elseif {[string match {-[a-z]*} $item]} {
      error "$command: there is no option $item"
    } else {
      dict lappend result rest $item
    }
  }
  set count [llength [dict get $result rest]]
  if {$count < $least || $count > $most} {
    error "$command: $count arguments"
  }
  if {[info exists ::env(MOCK_LOG)]} {
    set log [open $::env(MOCK_LOG) a]
    puts $log [list $command {*}$arguments]
    close $log
  }
  return $result
}

proc mock::need_files {names} {
  foreach name $names {
    if {![file isfile $name]} {
      error "no such file: $name"
    }
  }
}

# Defines a command: its options, and a body that sees `given` (see parse).
proc mock::command {name valued flags least most body} {
  proc ::$name args [format {
    namespace upvar ::mock project project cells cells nets nets buses buses state state core core addressed addressed \
      files files tops tops runs runs
    set given [mock::parse %s $args %s %s %s %s]
    set rest [dict get $given rest]
    %s
  } [list $name] [list $valued] [list $flags] $least $most $body]
}

# In-memory flow: steps in their order.
proc mock::after {command wanted next} {
  if {$mock::state ne $wanted} {
    error "$command comes after $wanted, not after $mock::state"
  }
  set mock::state $next
}

mock::command create_project {-part} {-force -in_memory} 0 2 {
  if {![dict exists $given -part]} {
    error "create_project: no part"
  }
  set project [dict create part [dict get $given -part] directory [lindex $rest 1] name [lindex $rest 0] board {}]
  if {[llength $rest] == 2} {
    file mkdir [lindex $rest 1]
  }
  set state created
}
mock::command close_project {} {} 0 0 { set project {} }
mock::command current_project {} {} 0 0 { return @project }
mock::command current_fileset {} {} 0 0 { return @fileset }
mock::command read_verilog {} {-sv} 1 1 {
  mock::need_files [lindex $rest 0]
  foreach name [lindex $rest 0] {
    if {([file extension $name] eq ".sv") != [dict exists $given -sv]} {
      error "read_verilog: $name in the wrong language"
    }
  }
  lappend files {*}[lindex $rest 0]
}
mock::command read_mem {} {} 1 1 { mock::need_files [lindex $rest 0]; lappend files {*}[lindex $rest 0] }
mock::command read_xdc {-mode} {} 1 1 { mock::need_files [lindex $rest 0] }
mock::command synth_design {-top -part -mode -flatten_hierarchy} {} 0 0 {
  mock::after synth_design created synthesised
  mock::need_module [dict get $given -top]
}
mock::command opt_design {-directive} {} 0 0 { mock::after opt_design synthesised optimised }
mock::command place_design {-directive} {} 0 0 { mock::after place_design optimised placed }
mock::command phys_opt_design {-directive} {} 0 0 { mock::after phys_opt_design placed placed }
mock::command route_design {-directive} {} 0 0 { mock::after route_design placed routed }
mock::command write_checkpoint {} {-force} 1 1 { mock::after write_checkpoint routed routed }
mock::command report_utilization {-file} {-hierarchical} 0 0 {
  file copy -force [file join $::env(MOCK_REPORTS) utilization.rpt] [dict get $given -file]
}
mock::command report_timing_summary {-file} {} 0 0 { close [open [dict get $given -file] w] }
mock::command get_timing_paths {-max_paths} {-setup -hold} 0 0 {
  if {$state ne "routed"} {
    error "get_timing_paths: nothing is routed"
  }
  return [expr {[dict exists $given -hold] ? "@hold" : "@setup"}]
}
mock::command version {} {-short} 0 0 { return 2023.2 }

proc mock::need_module {name} {
  foreach file $mock::files {
    set channel [open $file]
    set text [read $channel]
    close $channel
    if {[regexp "module\\s+$name\\M" $text]} {
      return $file
    }
  }
  error "no source has a module $name"
}

# Properties that the scripts read and write, by kind of object.
mock::command get_property {} {} 2 2 {
  lassign $rest key object
  if {$object in {@setup @hold}} {
    set channel [open [file join $::env(MOCK_REPORTS) path.txt]]
    set values [read $channel]
    close $channel
    return [dict get $values $object $key]
  }
  if {$object eq "@project" && $key eq "DIRECTORY"} {
    return [dict get $project directory]
  }
  if {[dict exists $runs $object $key]} {
    return [dict get $runs $object $key]
  }
  error "get_property: no $key of $object"
}
mock::command set_property {-dict} {} 1 3 {
  if {[dict exists $given -dict]} {
    foreach {key value} [dict get $given -dict] {
      mock::configure [lindex $rest 0] $key $value
    }
    lassign [dict get $cells [lindex $rest 0]] ip config
    blocks::$ip $config
    return
  }
  lassign $rest key value object
  switch -glob $object,$key {
    @project,board_part { dict set project board $value }
    @project,ip_repo_paths { dict set project repository $value }
    @fileset,top { mock::need_module $value; lappend tops $value }
    @core,name - @core,version - @core,display_name - @core,description { dict set core $key $value }
    default { error "set_property: no $key of $object" }
  }
}
mock::command get_board_parts {} {-quiet -latest_file_version} 1 1 {
  set found {}
  foreach board $::env(MOCK_BOARDS) {
    if {[string match [lindex $rest 0] $board]} {
      lappend found $board
    }
  }
  return $found
}
mock::command add_files {} {-norecurse} 1 1 { mock::need_files [lindex $rest 0]; lappend files {*}[lindex $rest 0] }
mock::command update_compile_order {-fileset} {} 0 0 {}
mock::command update_ip_catalog {} {} 0 0 {
  mock::need_files [list [file join [lindex [dict get $project repository] 0] component.xml]]
  dict set project catalogue 1
}

source [file join [file dirname [info script]] design.tcl]

if {[catch {source [lindex $argv 0]} message]} {
  puts "ERROR: \[Mock 1-1\] $message"
  puts $::errorInfo
  exit 1
}
puts "Exiting Vivado"
